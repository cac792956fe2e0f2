# Conditions of HTTP: nothing below /api/ has a validator, so none is heeded,
# and nginx does not answer them by itself.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Tus;

Exam::load_exam('30', students => { S001 => {} });

my $server = Exam::server();
my $tus = Exam::Tus->new($server);
my $url = $tus->create(5, 'Upload-Metadata' => Exam::Tus::metadata(
    kind => 'screen', n => 0, filetype => 'video/webm'));
my $soon = 'Fri, 01 Jan 2100 00:00:00 GMT';
my $long = 'Sat, 01 Jan 2000 00:00:00 GMT';

for (['If-Match', '"a"'], ['If-Unmodified-Since', $long],
     ['If-None-Match', '*'], ['If-Modified-Since', $soon])
{
    my ($name, $value) = @$_;

    is $tus->head($url, $name => $value)->{status}, 200, "HEAD with $name";
    is $tus->req('GET', '/api/v1/me', { $name => $value })->{status}, 200,
        "/me with $name";
    is $tus->req('GET', '/api/v1/recordings/screen/0',
                 { $name => $value })->{status}, 200, "GET with $name";

    my %put = ('Content-Type' => 'video/webm', $name => $value);
    my @status = map { $tus->req('PUT', '/api/v1/recordings/screen/1', \%put,
                                 'hello')->{status} } 1, 2;
    like "@status", qr/^20[01] 200\z/, "PUT with $name";
}

done_testing();
