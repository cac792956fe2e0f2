# Uploads over TLS and HTTP/2: the engine receives in place on the one and
# copies on the other, both must end with the same bytes.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);
use MIME::Base64 qw(encode_base64);

use Exam;

my ($rc, $version) = Exam::run('curl', '--version');

plan skip_all => 'curl is not here' if $rc != 0;

my (undef, undef, $built) = Exam::run($ENV{TEST_NGINX_BINARY}
                                      // Exam::bin('nginx'), '-V');

my $dir = Exam::dir();
my $spool = Exam::spool();
my $n = 0;

Exam::load_exam('30', students => { S001 => {} });

($rc) = Exam::run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes',
    '-days', '2', '-subj', '/CN=localhost', '-keyout', "$dir/key.pem",
    '-out', "$dir/cert.pem");
is $rc, 0, 'a certificate';


sub curl {
    my ($server, $path, @args) = @_;

    my $token = Exam::token(exam => '30', student => 'S001', gen => 1000);
    my $scheme = $server->{tls} ? 'https' : 'http';

    my ($rc, $out, $err) = Exam::run('curl', '-sS', '-k', '-w',
        '\n%{http_version} %{http_code}', '-H',
        "Authorization: Bearer $token", '-H', 'Content-Type: video/webm',
        @args, "$scheme://127.0.0.1:$server->{port}$path");

    diag $err if $err && !grep { $_ eq '--max-time' } @args;

    my ($body, $http, $status) = $out =~ /\A(.*)\n(\S+) (\d+)\z/s;
    return { exit => $rc, http => $http, status => $status,
             json => scalar eval { JSON::PP->new->utf8->decode($body) } };
}


sub files {
    my @files = sort map { s{^\Q$spool\E/}{}r } glob("$spool/$_[0]");
    return @files;
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 10;
}


my $block = join '', map { sha256($_) } 1 .. 4096;
my $data = join '', map { pack('N', $_) . $block } 1 .. 40;
my $file = Exam::spew("$dir/data", $data);
my $small = Exam::spew("$dir/small", 'hello');
my $empty = Exam::spew("$dir/empty", '');
my $digest = 'Content-Digest: sha-256=:' . encode_base64(sha256($data), '')
             . ':';

for my $how ('TLS', 'HTTP/2', 'HTTP/2 over TLS') {
    my $tls = $how =~ /TLS/;
    my $h2 = $how =~ /2/;

    SKIP: {
        skip 'curl does not speak HTTP/2', 14
            if $h2 && $version !~ /\bHTTP2\b/;

        # nginx's own HTTP/2 writes words at odd places, which UBSan forbids
        skip 'a sanitizer stops nginx\'s HTTP/2', 14
            if $h2 && $built =~ /fsanitize=\S*undefined/;

        my $lines = Exam::server_lines();

        $lines .= "ssl_certificate $dir/cert.pem;\n"
                  . "ssl_certificate_key $dir/key.pem;\n" if $tls;

        my $server = Exam::server(server => $lines,
            listen => ($tls ? ' ssl' : '') . ($h2 ? ' http2' : ''));
        $server->{tls} = $tls;

        my @args = !$h2 ? '--http1.1'
                 : $tls ? '--http2' : '--http2-prior-knowledge';

        my $res = curl($server, '/api/v1/recordings/screen/' . $n, @args, '-T',
                       $file);
        is $res->{http}, $h2 ? '2' : '1.1', "$how: is what is spoken";
        is $res->{status}, 201, "$how: an upload";
        is $res->{json}{sha256}, sha256_hex($data), "$how: its hash";
        ok Exam::slurp("$spool/ready/$res->{json}{id}.rec") eq $data,
            "$how: its bytes";

        is curl($server, '/api/v1/recordings/screen/' . $n, @args, '-T',
                $file)->{status}, 200, "$how: the same again";
        is curl($server, '/api/v1/recordings/screen/' . $n, @args, '-T',
                $small)->{status}, 409, "$how: other content";
        $n++;

        is curl($server, '/api/v1/recordings/screen/' . $n, @args, '-T',
                $empty)->{json}{code}, 'empty_segment', "$how: no byte";
        is curl($server, '/api/v1/recordings/screen/' . $n, @args, '-T',
                $small, '-H', $digest)->{json}{code}, 'digest_mismatch',
            "$how: a wrong digest";

        # (this curl takes an answer on HTTP/2 that comes before the end of
        # its body, and the reset of the stream behind it, for an error)
        if (!$h2) {
            is curl($server, '/api/v1/recordings/screen/' . ($n - 1), @args,
                    '-T', $file, '-H', $digest)->{status}, 200,
                "$how: the same, told by its digest";
        }

        # without a length: chunks, or DATA frames to the end
        $res = curl($server, '/api/v1/recordings/screen/' . $n, @args, '-T',
                    $file, '-H', 'Content-Length:', '-H',
                    $h2 ? 'X: y' : 'Transfer-Encoding: chunked');
        is $res->{status}, 201, "$how: without a length";
        is $res->{json}{sha256}, sha256_hex($data),
            "$how: without a length: its hash";
        $n++;

        # the client gives up
        $res = curl($server, '/api/v1/recordings/screen/' . $n, @args, '-T',
                    $file, '--limit-rate', '1M', '--max-time', '0.5');
        is $res->{exit}, 28, "$how: a client that gives up";
        ok eventually(sub { !files('part/*/*') }), "$how: its part is removed";

        $server->{tls} = $tls;
        my ($rc2, $st) = Exam::run('curl', '-sS', '-k', @args,
            ($tls ? 'https' : 'http') . "://127.0.0.1:$server->{port}/status");
        $st = JSON::PP::decode_json($st);
        is $st->{active_uploads}, 0, "$how: no upload is open";
        is $st->{upload_bytes_in_flight}, 0, "$how: no byte is in flight";
    }
}

done_testing;
