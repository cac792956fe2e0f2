# What everybody has: curl.  A resumable upload by hand, as a shell script does
# it.

use strict;
use warnings;

use lib 't/lib', 't/clients/lib';

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

use Exam;
use Scene;

my $scene = Scene->new;
my ($nginx, $net) = @$scene{qw(nginx net)};
my $file = Scene::video();
my $size = -s $file;
my $sha256 = Scene::hash_of($file);


# One call: status, header lines (lower-cased names), body.

sub curl {
    my ($path, @args) = @_;

    my $base = $path =~ /^http/ ? '' : $net->url;

    my ($rc, $out, $err) = Exam::run('curl', '-sS', '-i', '-m', 60, '-H',
        "Authorization: Bearer $scene->{token}", @args, "$base$path");

    # interim answers come first
    1 while $out =~ s{\AHTTP/\S+ 1\d\d.*?\r\n\r\n}{}s;

    my ($status, $head, $body)
        = $out =~ m{\AHTTP/\S+ (\d+).*?\r\n(.*?)\r\n\r\n(.*)\z}s;
    my %headers = map { /^([^:]+): *(.*)/ ? (lc $1 => $2) : () }
                  split /\r\n/, $head // '';

    return { exit => $rc, status => $status, headers => \%headers,
             body => $body, stderr => $err,
             json => scalar eval { JSON::PP->new->decode($body) } };
}


sub tus { return curl(@_, '-H', 'Tus-Resumable: 1.0.0') }


sub created {
    my ($n, @args) = @_;

    my $metadata = join ',', map { "$_->[0] $_->[1]" }
        [kind => 'c2NyZWVu'],
        [n => encode_base64($n, '')],
        [filetype => 'dmlkZW8vbXA0'];

    return tus('/api/v1/uploads', '-X', 'POST', '-H',
               "Upload-Metadata: $metadata", @args);
}


sub patch {
    my ($url, $offset, @args) = @_;

    return tus($url, '-X', 'PATCH', '-H', "Upload-Offset: $offset", '-H',
               'Content-Type: application/offset+octet-stream', @args);
}


# A PATCH that runs out of time, on a slow machine perhaps before its first
# byte: then with more of it.  Where that ended.

sub cut_off {
    my ($url, $name) = @_;

    my ($res, $offset);

    for my $seconds (1, 2, 4, 8) {
        $res = patch($url, 0, '-T', $file, '--limit-rate', '1M', '-m',
                     $seconds);
        $offset = tus($url, '--head')->{headers}{'upload-offset'};
        last if $offset;
    }

    is($res->{exit}, 28, "$name: time is over in the middle of it");
    return $offset;
}


# The rest of the file, from there.

sub tail_of {
    my ($offset) = @_;

    my $tail = Exam::dir() . '/tail';
    system("tail -c +@{[ $offset + 1 ]} $file > $tail") == 0 or die;
    return $tail;
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


# cut off by a time limit

my $res = created(0, '-H', "Upload-Length: $size");
is($res->{status}, 201, 'an upload is created');
my $url = $res->{headers}{location};
like($url, qr{^http://127\.0\.0\.1:\d+/api/v1/uploads/t1-[0-9a-f]{32}$},
     'and has a URL');

my $offset = cut_off($url, 'PATCH');

$res = tus($url, '--head');
is($res->{status}, 200, 'HEAD');
is($res->{headers}{'upload-offset'}, $offset, 'always tells the same');
cmp_ok($offset, '>', 0, 'tells of a part');
cmp_ok($offset, '<', $size, 'of all');
is($res->{headers}{'upload-length'}, $size, 'and how long it will be');

$res = patch($url, $offset, '-v', '-T', tail_of($offset));
is($res->{status}, 204, 'the rest');
is($res->{headers}{'upload-offset'}, $size, 'is the rest');
like($res->{stderr}, qr/> Expect: 100-continue/, 'asked before it is sent');
like($res->{stderr}, qr{< HTTP/1.1 100 }, 'and told to');
is_received(0, 'in two parts');

$res = patch($url, $size, '--data-binary', '');
is($res->{status}, 204, 'its end again');
is($res->{headers}{'upload-offset'}, $size, 'is where it was');

# refused before the body

$res = created(1, '-H', "Upload-Length: $size");
$res = patch($res->{headers}{location}, 5, '-v', '-T', $file);
is($res->{status}, 409, 'another offset is refused');
unlike($res->{stderr}, qr{< HTTP/1.1 100 }, 'before a byte of it');

# by one process of nginx, and on by another

$res = created(2, '-H', "Upload-Length: $size");
$url = $res->{headers}{location};
my ($one, $two) = $nginx->workers;
$net->to($one);
$offset = cut_off($url, 'at one process');
$net->to($two);
is(tus($url, '--head')->{headers}{'upload-offset'}, $offset,
   'known to the other');
kill 'KILL', $one;
is(patch($url, $offset, '-T', tail_of($offset))->{status}, 204,
   'and ended there');
$net->to;
is_received(2, 'by two processes');

is($net->stop, 0, 'the network leaves in order');
done_testing();
