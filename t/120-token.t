# Tokens (design, section 3): which one is taken, on each endpoint that needs
# one, and that nothing else is, on a warm node too; rotation of the keys.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(hmac_sha256 hmac_sha384);
use MIME::Base64 qw(encode_base64url);
use Test::More;

use Exam;
use Exam::Api qw(is_problem problem claims_of);

my $code = $Exam::Api::Code;
my %students = map { $_ => { code => $code } } 'S001' .. 'S009';

Exam::load_exam('30', students => \%students);

my $nginx = Exam::server(http => Exam::http_lines(exam_heartbeat_rate => '0',
                                                  exam_poll_rate => '0'));
my $api = Exam::Api->new($nginx);

my @endpoints = (['POST', '/api/v1/heartbeat', '{"seq":1}'],
                 ['GET', '/api/v1/me', undef],
                 ['POST', '/api/v1/logout', '{}'],
                 ['GET', '/api/v1/recordings/screen/0', undef]);

sub ask {
    my ($endpoint, $authorization) = @_;
    my ($method, $path, $body) = @$endpoint;

    return $api->req($method, $path, defined $authorization
                     ? { Authorization => $authorization } : {}, $body);
}

# Tells which endpoints do not refuse the header as they must.

sub refused {
    my ($authorization, $error, $name) = @_;

    my @wrong = map {
        my $why = problem(ask($_, $authorization), 401, $error);
        $why ? "$_->[1]: $why" : ();
    } @endpoints;

    is(join('; ', @wrong), '', $name);
}

my $key = pack 'H*', $Exam::KeyCandidate;
my $header = '{"alg":"HS256","typ":"JWT","kid":"c1"}';
my $warm = $api->login('30', 'S001')->{json}{token};
my ($head, $payload, $mac) = split /\./, $warm;
my $claims = MIME::Base64::decode_base64url($payload);

sub mac { return encode_base64url(hmac_sha256($_[0], $_[1] // $key)) }

is($api->beat($warm)->{status}, 200, 'the node knows the token') for 1, 2;

# ---- none, or not one

refused(undef, 'token_missing', 'no header');
refused($_, 'token_missing', "header '$_'")
    for '', 'Bearer', 'Basic Zm9v', $warm, "Token $warm", "Bearer\t$warm";
refused($_, 'token_invalid', "header '" . substr($_, 0, 30) . "'")
    for 'Bearer x', 'Bearer ..', 'Bearer ' . 'A' x 512, 'Bearer ' . 'A' x 4000,
        "Bearer  $warm", "Bearer $warm,", "Bearer $warm x", "Bearer $warm.";
is(ask($endpoints[0], "bearer $warm")->{status}, 200,
   'the scheme has no case');

# ---- altered in one place, each place, against a node that knows it by heart

my $bad = 0;

for my $i (0 .. length($warm) - 1) {
    my $token = $warm;
    my $c = substr $token, $i, 1;

    substr $token, $i, 1, $c eq 'A' ? 'B' : 'A';
    $bad++ if problem($api->beat($token), 401, 'token_invalid');
}

is($bad, 0, 'one character altered, each of ' . length $warm);

$bad = grep { problem($api->beat(substr $warm, 0, $_), 401, 'token_invalid') }
       1 .. length($warm) - 1;
is($bad, 0, 'truncated, at each length');

# the bits that base64url leaves over in the last character

my $last = substr $warm, -1;
my $alphabet = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';
my $twin = substr $alphabet, index($alphabet, $last) ^ 1, 1;

refused('Bearer ' . substr($warm, 0, -1) . $twin, 'token_invalid',
        'the same MAC written in another way');
refused("Bearer $warm=", 'token_invalid', 'padded');
(my $standard = $warm) =~ tr{-_}{+/};
refused("Bearer $standard", 'token_invalid', 'in the other base64')
    if $standard ne $warm;
is($api->beat($warm)->{status}, 200, 'and the token itself still holds');

# ---- forged

sub forged {
    my ($header, $claims, $key) = @_;

    my $body = encode_base64url($header) . '.' . encode_base64url($claims);
    return "Bearer $body." . mac($body, $key);
}

my $staff = pack 'H*', $Exam::KeyStaff;
my ($other) = (Exam::token(exam => '30', student => 'S002'));

refused(forged($header, $claims, 'x' x 32), 'token_invalid', 'another key');
refused(forged($header, $claims, ''), 'token_invalid', 'an empty key');
refused(forged($header, $claims, $staff), 'token_invalid',
        'the staff key under the name of ours');
refused(forged('{"alg":"HS256","typ":"JWT","kid":"s1"}', $claims, $staff),
        'token_invalid', 'a staff token');
refused(forged('{"alg":"HS256","typ":"JWT","kid":"s1"}', $claims),
        'token_invalid', 'our key under the name of the staff');
refused('Bearer ' . join('.', $head, (split /\./, $other)[1], $mac),
        'token_invalid', "another's payload under my MAC");
refused('Bearer ' . join('.', $head, $payload, (split /\./, $other)[2]),
        'token_invalid', "another's MAC under my payload");
refused('Bearer ' . encode_base64url('{"alg":"none","typ":"JWT"}')
        . ".$payload.", 'token_invalid', 'alg none');
refused('Bearer ' . encode_base64url('{"alg":"none","typ":"JWT","kid":"c1"}')
        . ".$payload.$mac", 'token_invalid', 'alg none with a MAC');
refused("Bearer $head.$payload.", 'token_invalid', 'no MAC');
refused("Bearer $head.$payload." . encode_base64url(
            substr hmac_sha256("$head.$payload", $key), 0, 16),
        'token_invalid', 'half a MAC');
refused("Bearer $head.$payload." . encode_base64url(
            hmac_sha384("$head.$payload", $key)), 'token_invalid', 'HS384');
refused(forged($_, $claims), 'token_invalid', "header $_")
    for '{"typ":"JWT","alg":"HS256","kid":"c1"}',
        '{"alg":"HS256", "typ":"JWT","kid":"c1"}', '{"alg":"HS256"}',
        '{"alg":"HS256","typ":"JWT","kid":"c2"}', '{}';

# ---- signed by us, yet not of our form

my ($now, $far) = (int time, int(time) + 86400);
my $sid = Exam::sid('30', 'S003');

refused(forged($header, $_), 'token_invalid', "claims $_")
    for '{}', '[]', '', 'null', '{"sub":"S003"}',
        qq({"sid":"$sid","gen":1,"iat":$now,"exp":$far,"exam":"30"}),
        qq({"gen":1,"iat":$now,"exp":$far,"exam":"30","sub":"S003"}),
        qq({"sid":"xyz","gen":1,"iat":$now,"exp":$far,"exam":"30",)
        . '"sub":"S003"}',
        qq({"sid":"\U$sid\E","gen":1,"iat":$now,"exp":$far,"exam":"30",)
        . '"sub":"S003"}',
        qq({"sid":"$sid","gen":-1,"iat":$now,"exp":$far,"exam":"30",)
        . '"sub":"S003"}',
        qq({"sid":"$sid","gen":1,"iat":$now,"exp":"$far","exam":"30",)
        . '"sub":"S003"}',
        qq({"sid":"$sid","gen":1,"iat":$now,"exp":$far,"exam":"../30",)
        . '"sub":"S003"}',
        qq({"sid":"$sid","gen":1,"iat":$now,"exp":$far,"exam":"30",)
        . '"sub":"a..b"}',
        qq({"sid":"$sid","gen":1,"iat":$now,"exp":$far,"exam":"30",)
        . '"sub":"S003","aud":"staff"}';

# ---- expired

refused('Bearer ' . Exam::token(exam => '30', student => 'S004',
                                exp => $now - 1),
        'token_expired', 'an expired token');
refused('Bearer ' . Exam::token(exam => '30', student => 'S004', exp => 0),
        'token_expired', 'expired long ago');
refused('Bearer ' . Exam::token(exam => '30', student => 'S004',
                                exp => $now - 1, key => '33' x 32),
        'token_invalid', 'expired and forged is forged');

# ---- a node that another token of the same session has filled

my $mine = Exam::token(exam => '30', student => 'S005', exp => $far, gen => 7);
my $longer = Exam::token(exam => '30', student => 'S005', exp => $far + 9,
                         gen => 7);

is($api->beat($_)->{status}, 200, 'two tokens of one session, by turns')
    for $mine, $longer, $mine, $longer;

my @parts = (split(/\./, $longer))[0, 1];
refused('Bearer ' . join('.', @parts, (split /\./, $mine)[2]), 'token_invalid',
        "one's MAC under the other");

# ---- rotation

sub keys_are {
    Exam::spew(Exam::keys_file(), join '', map { "$_\n" } @_);
    $nginx->reload;
    $api->connected;
}

my @keys = ("c1 candidate $Exam::KeyCandidate", "c2 candidate " . '44' x 32,
            "s1 staff $Exam::KeyStaff");
my $before = $api->login('30', 'S006')->{json}{token};

is($api->beat($before)->{status}, 200, 'a token of the first key');
keys_are(@keys[1, 0, 2]);
is($api->beat($before)->{status}, 200, 'still taken beside a second one');

my $after = $api->login('30', 'S007')->{json}{token};

like(MIME::Base64::decode_base64url((split /\./, $after)[0]), qr/"kid":"c2"/,
     'the first line signs');
is($api->beat($after)->{status}, 200, 'and is verified');
is($api->beat($before)->{status}, 200, 'beside the other');

keys_are(@keys[1, 2]);
refused("Bearer $before", 'token_invalid', 'a withdrawn key');
refused("Bearer $warm", 'token_invalid',
        'withdrawn for a session that the node knows, too');
is($api->beat($after)->{status}, 200, 'the new key goes on');

done_testing();
