# POST /api/v1/login: what a right login answers and writes, who is refused and
# in which order the reasons are looked at (design, sections 3.1 and 5).

use strict;
use warnings;
use utf8;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(is_problem is_shape claims_of session);

my $code = $Exam::Api::Code;
my $true = JSON::PP::true;
my $hour = 3_600_000;
my $now = Exam::now_ms();

my %students = (
    S001 => { code => $code, name => 'Ada "L" Lovelace\\', seat => 'A 1' },
    s001 => { code => $code, name => '李雷 🙂', seat => '' },
    S002 => { code => $code },
    S003 => { code => $code },
    held => { code => $code, flags => { suspended => $true } },
    lock => { code => $code, flags => { locked => $true } },
    more => { code => $code, flags => { extra_s => 7200 } },
    'a.b@c-d_e' => { code => $code },
    ('z' x 64) => { code => $code },
);

my %starts = (starts_at => $now - 2 * $hour, ends_at => $now - $hour);

Exam::load_exam('30', title => 'Analysis „I“', students => \%students,
                starts_at => $now - $hour, ends_at => $now + 3 * $hour);
Exam::load_exam('draft', state => 'draft', students => \%students);
Exam::load_exam('closed', state => 'closed', students => \%students);
Exam::load_exam('archived', state => 'archived', students => \%students);
Exam::load_exam('early', students => \%students,
                starts_at => $now + 29 * 60_000);
Exam::load_exam('soon', students => \%students,
                starts_at => $now + 31 * 60_000);
Exam::load_exam('past', students => \%students, %starts);
Exam::load_exam('held', students => \%students, %starts,
                paused_at => $now - 2 * $hour);
Exam::load_exam('rested', students => \%students, %starts,
                pause_ms => 2 * $hour);
Exam::load_exam('X' x 32, students => \%students);

my $nginx = Exam::server();
my $api = Exam::Api->new($nginx);

# ---- what a login answers

my $res = $api->login('30', 'S001');
my $first = $res->{json};

is($res->{status}, 200, 'a right code is let in');
is($res->{headers}{'content-type'}, 'application/json', 'as JSON');
is($res->{headers}{'cache-control'}, 'no-store', 'not to be cached');

is_shape($first, {
    token => 'str', session => 'str', gen => 'int',
    student => { id => \'S001', name => \'Ada "L" Lovelace\\', seat => \'A 1' },
    exam => { id => \'30', title => \'Analysis „I“', state => \'open',
              starts_at => \($now - $hour) },
    ends_at => \($now + 3 * $hour),
    status => { locked => \0, paused => \0, closed => \0 },
    server_time => 'int', heartbeat_s => \30, segment_s => \120,
    max_bytes => \52428800, next_segment => { screen => \0, camera => \0 },
}, 'all members of the contract, no other');

cmp_ok(abs($first->{server_time} - Exam::now_ms()), '<', 5000,
       'server_time is now');
like($first->{session}, qr/^[0-9a-f]{32}$/, 'a session is 32 hex digits');
is(substr($first->{session}, 0, 8),
   sprintf('%08x', Exam::student_hash('30', 'S001')),
   'it begins with the hash of exam and student');

# ---- the token

my ($header, $payload) = map { MIME::Base64::decode_base64url($_) }
                         (split /\./, $first->{token})[0, 1];

is($header, '{"alg":"HS256","typ":"JWT","kid":"c1"}', 'header of the token');
is_shape(claims_of($first->{token}), {
    exam => \'30', sub => \'S001', sid => \$first->{session},
    gen => \$first->{gen}, iat => 'int', exp => 'int',
}, 'claims of the token');
is($first->{token}, Exam::token(header => $header, payload => $payload),
   'signed with the first key of class candidate');
is(claims_of($first->{token})->{exp},
   int(($now + 3 * $hour) / 1000) + 2 * 86400,
   'exp: own end, the late window and a day');

$res = $api->login('held', 'S001');
cmp_ok(abs(claims_of($res->{json}{token})->{exp} - 2 * 86400
           - int(($now + $hour) / 1000)), '<', 5,
       'exp: the running pause is part of the own end');

# ---- what it writes

is_shape(session('30', 'S001'), {
    sid => \$first->{session}, gen => \$first->{gen}, node => \'t1',
    ip => \'127.0.0.1', login_at => 'int', ended => \'',
}, 'the session stands in Redis');
is(Exam::redis_cmd('HGET', 'exam:{30}:stored', "S001:$first->{session}:$_"),
   -1, "stored of $_ is -1") for qw(screen camera);
cmp_ok(Exam::redis_cmd('XLEN', 'exam:{30}:changes'), '==', 1,
       'a visible change');

my $again = $api->login('30', 'S001')->{json};

cmp_ok($again->{gen}, '>', $first->{gen}, 'a later login, a higher generation');
isnt($again->{session}, $first->{session}, 'and another session');
is($api->metric('logins_total'), 3, 'logins are counted');

# ---- how a code may be typed

for my $typed ('0123456789abcdef', '0123 4567 89ab cdef',
               ' 0123-4567-89AB-CDEF','0-1-2-3-4-5-6-7-8-9-A-B-C-D-E-F')
{
    is($api->login('30', 'S002', $typed)->{status}, 200, "typed as '$typed'");
}

# ---- who is who

is($api->login('30', 's001')->{json}{student}{name}, '李雷 🙂',
   's001 is another person than S001');
is($api->login('30', 'a.b@c-d_e')->{status}, 200, 'all characters of an id');
is($api->login('X' x 32, 'z' x 64)->{status}, 200, 'the longest ids');
is_problem($api->login('X' x 33, 'S001'), 401, 'invalid_credentials',
           'a longer exam');
is_problem($api->login('30', 'z' x 65), 401, 'invalid_credentials',
           'a longer student');

# ---- the same 401 for exam, student, code

my @same = map { $api->login(@$_) } (
    ['nope', 'S001'], ['30', 'nobody'], ['30', 'S001', '0123-4567-89AB-CDE0'],
    ['30', 'S001', ''], ['30', 'S001', 'U' x 16], ['30', 'S001', '0' x 300],
    ['', 'S001'], ['30', ''], ['30', '../S001'], ['30', 'S001%2f'],
    ['30', "S001\0"], ["30\0", 'S001'], ['30', 'S' x 300], ['3' x 300, 'S001'],
    ['30', 'a..b'], ['30', '_v'], ['30', 'S001:x'], ['30}', 'S001'],
    ['30', "S001\n"], ['30', 'Sé'],
);

is_problem($same[$_], 401, 'invalid_credentials', "wrong, case $_")
    for 0 .. $#same;
is(scalar(grep { $_->{content} ne $same[0]{content} } @same), 0,
   'all of them byte for byte the same');
is(scalar(grep { $_->{headers}{'www-authenticate'} } @same), 0,
   'none asks for a token');

# ---- states and the order of checks

sub refused {
    my ($exam, $student, $with, $status, $error, $name) = @_;
    is_problem($api->login($exam, $student, $with), $status, $error, $name);
}

refused('draft', 'S001', $code, 403, 'exam_not_open', 'a draft');
refused('closed', 'S001', $code, 403, 'exam_over', 'a closed exam');
refused('archived', 'S001', $code, 403, 'exam_over', 'an archived exam');
refused('soon', 'S001', $code, 403, 'exam_not_open', '31 minutes before');
is($api->login('early', 'S001')->{status}, 200, '29 minutes before');
refused('past', 'S001', $code, 403, 'exam_over', 'after the end');
is($api->login('past', 'more')->{status}, 200, 'extra time is time');
is($api->login('rested', 'S001')->{status}, 200, 'pauses are added');
is($api->login('held', 'S002')->{status}, 200, 'a running pause, too');
refused('30', 'held', $code, 403, 'student_suspended', 'a suspended student');
refused('30', 'held', '1' x 16, 401, 'invalid_credentials',
        'who is suspended is told only to him');
refused('closed', 'nobody', $code, 403, 'exam_over',
        'the state is looked at before the student');
is($api->login('30', 'lock')->{json}{status}{locked}, 1,
   'a locked student gets in, locked');
is($api->login('held', 'S003')->{json}{status}{paused}, 1,
   'a paused exam says so');
is($api->login('rested', 'S003')->{json}{ends_at}, $now + $hour,
   'ends_at is the own end');

Exam::redis_cmd('HDEL', 'exam:{soon}:roster', '_v');
Exam::redis_cmd('HDEL', 'exam:{early}:roster', '_v');
refused('soon', 'S001', $code, 403, 'exam_not_open',
        'the state is looked at before the roster');
refused('early', 'S001', $code, 503, 'roster_loading', 'no roster');
refused('early', 'nobody', $code, 503, 'roster_loading',
        'no roster knows nobody');

Exam::redis_cmd('DEL', 'exam:loaded');
refused('30', 'S001', $code, 503, 'roster_loading', 'Redis is being filled');
refused('nope', 'S001', $code, 503, 'roster_loading',
        'Redis is looked at before the exam');
Exam::redis_cmd('SET', 'exam:loaded', 1);
is($api->login('30', 'S001')->{status}, 200, 'and filled again');

# a session that another node left in a form of its own
Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S003', 'broken');
is($api->login('30', 'S003')->{status}, 200, 'a torn session is replaced');

# ---- generations

Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S002',
                '{"sid":"' . Exam::sid('30', 'S002', 5) . '","gen":'
                . ($now + 1e9) . ',"node":"n9","ip":"","login_at":1,'
                . '"ended":"logout"}');
is($api->login('30', 'S002')->{json}{gen}, $now + 1e9 + 1,
   'above the last generation, whatever the clock says');
Exam::redis_cmd('HDEL', 'exam:{30}:sessions', 'S002');
is($api->login('30', 'S002')->{json}{gen}, $now + 1e9 + 2,
   'above the highest this node knows, though Redis forgot');

# ---- the rest of the interface

is_problem($api->req('GET', '/api/v1/login'), 405, 'method_not_allowed', 'GET');
is($api->req('PUT', '/api/v1/login', {}, '{}')->{headers}{allow}, 'POST',
   'POST is allowed');
is_problem($api->post('/api/v1/login', ''), 400, 'bad_json', 'an empty body');
is_problem($api->post('/api/v1/login', { exam => '30', student => 'S001' }),
           400, 'missing_member', 'no code');
is($api->post('/api/v1/login', { exam => '30', student => 'S001',
                                 code => $code, more => [1, {}] })->{status},
   200, 'unknown members are ignored');

my $log = Exam::slurp($nginx->{error_log});
unlike($log, qr/0123-?4567|Lovelace|eyJ/, 'no code, name or token in the log');

done_testing();
