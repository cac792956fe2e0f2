# Uploads of tus and of the draft over HTTP/2 and TLS.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256 sha256_hex);

use Exam;
use Exam::Tus;

my ($rc, $version) = Exam::run('curl', '--version');

plan skip_all => 'curl is not here' if $rc != 0;
plan skip_all => 'curl does not speak HTTP/2' if $version !~ /\bHTTP2\b/;

my (undef, undef, $built) = Exam::run($ENV{TEST_NGINX_BINARY}
                                      // Exam::bin('nginx'), '-V');

# nginx's own HTTP/2 writes words at odd places, which UBSan forbids

plan skip_all => 'a sanitizer stops nginx\'s HTTP/2'
    if $built =~ /fsanitize=\S*undefined/;

my $dir = Exam::dir();
my $spool = Exam::spool();
my $type = 'application/offset+octet-stream';
my $block = join '', map { sha256($_) } 1 .. 4096;
my $data = join '', map { pack('N', $_) . $block } 1 .. 40;     # 5 MB
my $file = Exam::spew("$dir/data", $data);

Exam::load_exam('30', students => { S001 => {} });

($rc) = Exam::run('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes',
    '-days', '2', '-subj', '/CN=localhost', '-keyout', "$dir/key.pem",
    '-out', "$dir/cert.pem");
is $rc, 0, 'a certificate';

my $token = Exam::token(exam => '30', student => 'S001', gen => 1000);
my ($server, $how);


# An answer as those of Exam::Wire; interim ones are listed by their status.

sub curl {
    my ($method, $path, $fields, @args) = @_;

    my $scheme = $how =~ /TLS/ ? 'https' : 'http';
    my $http = $how !~ /2/ ? '--http1.1'
        : $how =~ /TLS/ ? '--http2' : '--http2-prior-knowledge';
    my %fields = (Authorization => "Bearer $token",
                  'Tus-Resumable' => '1.0.0', %$fields);

    my ($rc, $out) = Exam::run('curl', '-sS', '-k', '-i', $http,
        $method eq 'HEAD' ? '--head' : ('-X', $method), @args,
        (map { ('-H', "$_: " . ($fields{$_} // '')) } sort keys %fields),
        "$scheme://127.0.0.1:$server->{port}$path");

    my %res = (exit => $rc, interim => []);

    while ($out =~ s/\A(HTTP\/\S+) (\d+).*?\r\n(.*?)\r\n\r\n//s) {
        my ($version, $status, $head) = ($1, $2, $3);

        if ($status < 200) {
            push @{ $res{interim} }, $status;
            next;
        }

        %res = (%res, version => $version, status => $status, headers => {
            map { /^([^:]+): *(.*?)\r?$/ ? (lc $1, $2) : () }
                split /\n/, $head });
        last;
    }

    $res{json} = eval { JSON::PP->new->utf8->decode($out) };
    return \%res;
}


sub part { return Exam::spew("$dir/part", substr $data, $_[0], $_[1]) }

sub patch {
    my ($path, $offset, $name, %fields) = @_;

    return curl('PATCH', $path, { 'Upload-Offset' => $offset,
        'Content-Type' => $type, Expect => undef, %fields }, '-T', $name);
}

sub ready {
    my ($id) = $_[0] =~ m{/([^/]+)\z};

    return Exam::slurp("$spool/ready/$id.rec");
}


for (['TLS', ' ssl'], ['HTTP/2', ' http2'], ['HTTP/2 over TLS', ' ssl http2'])
{
    ($how, my $listen) = @$_;

    my $lines = Exam::server_lines();

    $lines .= "ssl_certificate $dir/cert.pem;\n"
              . "ssl_certificate_key $dir/key.pem;\n" if $how =~ /TLS/;

    $server = Exam::server(server => $lines, listen => $listen);

    my $res = curl('OPTIONS', $Exam::Tus::Path, {});
    is $res->{version}, $how =~ /2/ ? 'HTTP/2' : 'HTTP/1.1', "$how: spoken";
    is $res->{status}, 200, "$how: OPTIONS";

    $res = curl('POST', $Exam::Tus::Path, { 'Upload-Length' => length $data });
    is $res->{status}, 201, "$how: a creation";

    my $scheme = $how =~ /TLS/ ? 'https' : 'http';
    my $url = $res->{headers}{location};
    like $url, qr{\A$scheme://127\.0\.0\.1:$server->{port}/}, "$how: Location";

    my $path = $url =~ s{\A\w+://[^/]+}{}r;

    $res = patch($path, 0, part(0, 1_500_000));
    is $res->{status}, 204, "$how: a part";
    is $res->{headers}{'upload-offset'}, 1_500_000, "$how: its offset";

    # (this curl takes an answer on HTTP/2 that comes before the end of its
    # body, and the reset of the stream behind it, for an error)
    if ($how !~ /2/) {
        is patch($path, 7, part(0, 10))->{status}, 409, "$how: another offset";
        is patch($path, 1_500_000, part(0, 10), 'Tus-Resumable' => undef)
            ->{status}, 412, "$how: no version";
    }

    $res = patch($path, 1_500_000, part(0, 1000),
                 'Upload-Checksum' => 'sha1 YQ==');
    is $res->{status}, 460, "$how: a wrong checksum";

    # the client gives up

    $res = curl('PATCH', $path, { 'Upload-Offset' => 1_500_000,
        'Content-Type' => $type, Expect => undef }, '-T',
        part(1_500_000, length $data), '--limit-rate', '1M', '--max-time',
        '0.5');
    is $res->{exit}, 28, "$how: a client that gives up";

    my $offset = curl('HEAD', $path, {})->{headers}{'upload-offset'};
    cmp_ok $offset, '>=', 1_500_000, "$how: what was told is there";

    # without a length: chunks, or DATA frames to the end

    $res = patch($path, $offset, part($offset, length $data),
        'Content-Length' => undef,
        $how =~ /2/ ? () : ('Transfer-Encoding' => 'chunked'));
    is $res->{status}, 204, "$how: the rest, without a length";
    ok ready($path) eq $data, "$how: the content";

    $res = curl('DELETE', $path, {});
    is $res->{status}, 204, "$how: DELETE";

    # the draft: 104 is of HTTP/1.1 only

    $res = curl('POST', $Exam::Tus::Path, { 'Tus-Resumable' => undef,
        'Upload-Draft-Interop-Version' => 8, 'Upload-Complete' => '?1',
        Expect => undef }, '-T', $file);
    is $res->{status}, 201, "$how: the draft";
    is $res->{json}{sha256}, sha256_hex($data), "$how: the draft: the hash";
    is scalar(grep { $_ == 104 } @{ $res->{interim} }) > 0,
        $how !~ /2/, "$how: the draft: 104";
}

done_testing;
