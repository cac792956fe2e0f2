# Forms, for clients that speak nothing else: curl -F, and Python's requests.

use strict;
use warnings;

use lib 't/lib', 't/clients/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Clients;
use Scene;

my $scene = Scene->new;
my ($nginx, $net) = @$scene{qw(nginx net)};
my $file = Scene::video();
my $sha256 = Scene::hash_of($file);
my $url = $net->url . '/api/v1/recordings';
my @file = ('-F', "file=\@$file;type=video/mp4");


# curl -F: exit, status, decoded body, what -v said.

sub form {
    my (@args) = @_;

    my ($rc, $out, $err) = Exam::run('curl', '-sS', '-v', '-m', 60, '-w',
        '\n%{http_code}', '-H', "Authorization: Bearer $scene->{token}",
        @args, $url);
    my ($body, $status) = $out =~ /\A(.*)\n(\d+)\z/s;

    return { exit => $rc, status => $status, stderr => $err,
             json => scalar eval { JSON::PP->new->decode($body) } };
}


sub is_received {
    my ($n, $name) = @_;

    my $res = $scene->{api}->get("/api/v1/recordings/screen/$n",
                                 $scene->{token});

    is($res->{json}{state}, 'received', "$name: received");
    is($res->{json}{sha256}, $sha256, "$name: with its hash");
    is_deeply([map { Scene::hash_of($_) }
               glob Exam::spool() . "/ready/$res->{json}{id}.rec"],
              [$sha256], "$name: that is what lies there");
}


my $res = form('-F', 'kind=screen', '-F', 'n=0', @file);
is($res->{status}, 201, 'curl: a form');
is($res->{json}{sha256}, $sha256, 'curl: the hash in the answer');
like($res->{stderr}, qr/> Expect: 100-continue/, 'curl: asked before');
is_received(0, 'curl');

is(form('-F', 'kind=screen', '-F', 'n=0', @file)->{status}, 200,
   'the same again');

is(form(@file, '-F', 'kind=screen', '-F', 'n=1', '-F', 'duration_ms=2000')
   ->{status}, 201, 'the file before the other fields');
is_received(1, 'file first');

# cut off: nothing of a form is kept

$net->hold($Scene::Middle);
my $pid = fork // die "fork: $!\n";

if ($pid == 0) {
    form('-F', 'kind=screen', '-F', 'n=2', @file);
    POSIX::_exit(0);
}

ok($net->held, 'a form in the middle of its file');
$scene->arrived;
$net->cut;
waitpid $pid, 0;
$scene->no_parts('cut off, none of it stays');
$net->free;
is(form('-F', 'kind=screen', '-F', 'n=2', @file)->{status}, 201,
   'and it is sent again');
is_received(2, 'sent again');

SKIP: {
    skip 'no python3-requests', 4
        if $ENV{EXAM_NO_BROWSER} && !Clients::have('python3-requests');

    my ($rc, $out, $err) = Exam::run('/usr/bin/python3', '-c', <<'END',
import sys, requests
url, token, name = sys.argv[1:]
with open(name, 'rb') as f:
    r = requests.post(url, headers={'Authorization': 'Bearer ' + token},
                      data={'kind': 'screen', 'n': 3},
                      files={'file': ('screen.mp4', f, 'video/mp4')})
print(r.status_code, r.json()['sha256'])
END
        $url, $scene->{token}, $file);

    is($out, "201 $sha256\n", "requests: a form") or diag($err);
    is_received(3, 'requests');
}

is($net->stop, 0, 'the network leaves in order');
done_testing();
