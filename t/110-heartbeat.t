# POST /api/v1/heartbeat: what it answers, what it takes, what it counts, and
# the token it renews (design, section 3.1).

use strict;
use warnings;

use lib 't/lib';

use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(is_problem is_shape claims_of);

my $code = $Exam::Api::Code;
my $now = Exam::now_ms();
my $hour = 3_600_000;
my $long = 'L' . 'o' x 62 . 'g';
my $exam = 'E' x 32;
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub flags {
    my ($student, %flags) = @_;

    Exam::redis_cmd('HSET', 'exam:{30}:flags', $student,
                    JSON::PP->new->canonical->encode(\%flags));
}

my %students = map { $_ => { code => $code } } 'S001' .. 'S009', $long;

Exam::load_exam($_, students => \%students, ends_at => $now + 3 * $hour)
    for '30', '31', $exam;

my $nginx = Exam::server(http => Exam::http_lines(exam_heartbeat_rate => '0'));
my $api = Exam::Api->new($nginx);
my $token = $api->login('30', 'S001')->{json}{token};

# ---- the answer

my $reply = {
    server_time => 'int', next_s => \30, ends_at => \($now + 3 * $hour),
    status => { locked => \0, paused => \0, closed => \0 },
    commands => ['null'], stored => { screen => \-1, camera => \-1 },
    resend => ['null'], upload => { slot_ms => 'int' },
};

my $res = $api->beat($token, { seq => 0 });

is($res->{status}, 200, 'a heartbeat is answered');
is($res->{headers}{'content-type'}, 'application/json', 'as JSON');
is($res->{headers}{'cache-control'}, 'no-store', 'not to be cached');
is_shape($res->{json}, $reply, 'all members of the contract, no other');
cmp_ok(abs($res->{json}{server_time} - Exam::now_ms()), '<', 5000,
       'server_time is now');

my $slot = $res->{json}{upload}{slot_ms};

ok($slot >= 0 && $slot < 120_000, 'a slot within the segment');
is($api->beat($token)->{json}{upload}{slot_ms}, $slot, 'and it stays');

my %slots = map {
    $api->beat($api->login('31', $_)->{json}{token})->{json}{upload}{slot_ms}
        => 1;
} 'S001' .. 'S009';
cmp_ok(scalar keys %slots, '>', 6, 'other sessions have other slots');

# ---- the body: what our clients send, and every other form of it

my %body = (
    seq => 3, client_time => 1763654400123,
    state => { recorder => 'recording',
               recorded => { screen => 12, camera => 11 },
               queued_segments => 2, queued_bytes => 34567890,
               oldest_unsent_s => 45, focus => $true, battery => 0.85 },
);

sub slow { return $api->metric('beats_slow_path_total') }

my $slow = slow();

for my $text (
    '{"seq":3}', '{"seq":3,"client_time":1763654400123}',
    '{"seq":3,"client_time":1763654400123,"state":{"recorder":"recording",'
    . '"recorded":{"screen":12,"camera":11},"queued_segments":2,'
    . '"queued_bytes":34567890,"oldest_unsent_s":45,"focus":true,'
    . '"battery":0.85}}')
{
    is_shape($api->beat($token, $text)->{json}, $reply, "taken: $text");
}

is(slow(), $slow, 'these are the usual bodies');

for my $text (
    ' { "seq" : 3 } ', "\n{\"seq\":3}\r\n\t", '{"\u0073eq":3}',
    '{"seq":0}', '{"seq":9007199254740991}', '{"seq":3,"seq":4}',
    '{"seq":3,"client_time":null,"state":null,"missed":null,"ack":null}',
    '{"seq":3,"more":{"a":[1,2,{"b":null}]},"other":"\ud83d\ude42"}',
    '{"seq":3,"ack":["c-1",2],"missed":[]}',
    '{"seq":3,"state":{"recorder":null,"recorded":null,"lux":1}}',
    '{"seq":3,"missed":[' . join(',', map { qq({"seq":$_,"client_time":1}) }
                                      1 .. 500) . ']}')
{
    my $name = length $text > 70 ? substr($text, 0, 60) . ' …' : $text;
    is_shape($api->beat($token, $text)->{json}, $reply, "taken: $name");
}

cmp_ok(slow(), '>=', $slow + 8, 'these need the full parser');

my @refused = (
    ['{}', 'missing_member'], ['{"client_time":1}', 'missing_member'],
    ['{"seq":null}', 'missing_member'],
    ['{"seq":"3"}', 'bad_type'], ['{"seq":true}', 'bad_type'],
    ['{"seq":1.5}', 'bad_value'], ['{"seq":[]}', 'bad_type'],
    ['{"seq":-1}', 'bad_value'], ['{"seq":9007199254740992}', 'bad_value'],
    ['{"seq":3,"client_time":"1"}', 'bad_type'],
    ['{"seq":3,"state":[]}', 'bad_type'],
    ['{"seq":3,"state":{"focus":1}}', 'bad_type'],
    ['{"seq":3,"state":{"battery":101}}', 'bad_value'],
    ['{"seq":3,"state":{"recorded":{"screen":"1"}}}', 'bad_type'],
    ['{"seq":3,"missed":{}}', 'bad_type'],
    ['{"seq":3,"missed":[1]}', 'bad_type'],
    ['{"seq":3,"missed":[' . join(',', ('{"seq":1,"client_time":1}') x 501)
     . ']}', 'bad_value'],
    ['{"seq":3,"ack":"x"}', 'bad_type'], ['[]', 'bad_type'], ['3', 'bad_type'],
    ['', 'bad_json'], ['{"seq":03}', 'bad_json'], ['{"seq":3', 'bad_json'],
);

for my $case (@refused) {
    my ($text, $error) = @$case;
    my $name = length $text > 60 ? substr($text, 0, 50) . ' …' : $text;

    is_problem($api->beat($token, $text), 400, $error, "refused: $name");
}

is_problem($api->beat('a.b.c', '{"seq":'), 401, 'token_invalid',
           'a stranger learns nothing of what is wrong with his body');
is_problem($api->beat(undef, '{"seq":'), 401, 'token_missing',
           'nor does who has no token');

# ---- what is counted

my $count = sub { return $api->metric('heartbeats_total') };
my $fresh = $api->login('30', 'S002')->{json}{token};
my $before = $count->();

$api->beat($fresh, { seq => 5 });
is($count->(), $before + 1, 'a new number counts');
is_shape($api->beat($fresh, { seq => 5 })->{json}, $reply,
         'the same again is answered in full');
is_shape($api->beat($fresh, { seq => 0 })->{json}, $reply,
         'and so is a lower one');
is($count->(), $before + 1, 'neither counts');
$api->beat($fresh, { seq => 5 });
is($count->(), $before + 1, 'the number has not been set back');
$api->beat($fresh, { seq => 6 });
is($count->(), $before + 2, 'the next one counts');

my $first = $api->login('30', 'S003')->{json}{token};
$before = $count->();
$api->beat($first, { seq => 0 });
is($count->(), $before + 1, 'the first may be 0');

my $at = Exam::now_ms();
$api->beat($fresh, { seq => 1 });
ok($api->flushed('30', 'S002', $at), 'a lower number refreshes `seen`, too');

# ---- state

my $state = sub {
    my ($body, $want, $name) = @_;

    $at = Exam::now_ms();
    $api->beat($fresh, $body);
    $api->flushed('30', 'S002', $at);
    is(Exam::redis_cmd('HGET', 'exam:{30}:state', 'S002'), $want, $name);
};

$state->(\%body, '{"recorder":"recording","recorded":{"screen":12,"camera":11},'
         . '"queued_segments":2,"queued_bytes":34567890,"oldest_unsent_s":45,'
         . '"focus":true,"battery":85}', 'the state stands in Redis, typed');
$state->({ seq => 8 }, Exam::redis_cmd('HGET', 'exam:{30}:state', 'S002'),
         'a beat without a state leaves it');
$state->({ seq => 9, state => { focus => $false, evil => '<b>' } },
         '{"focus":false}', 'unknown members do not get there');

# ---- what the node learns of Redis stands in the next answer

sub learned {
    my ($member, $want, $name) = @_;

    my $json;

    Exam::wait_for {
        $json = $api->beat($fresh)->{json};
        return JSON::PP->new->canonical->encode($json->{$member}) eq $want;
    } 5;
    is(JSON::PP->new->canonical->encode($json->{$member}), $want, $name);
}

flags('S002', locked => $true);
learned('status', '{"closed":false,"locked":true,"paused":false}', 'locked');
flags('S002', suspended => $true, finish => $true);
learned('status', '{"closed":true,"locked":true,"paused":false}',
        'suspended and told to finish');
flags('S002', paused => $true);
learned('status', '{"closed":false,"locked":false,"paused":true}', 'paused');
Exam::redis_cmd('HSET', 'exam:{30}:stored',
                'S002:' . claims_of($fresh)->{sid} . ':screen', 12);
learned('stored', '{"camera":-1,"screen":12}', 'stored');
Exam::redis_cmd('HSET', 'exam:{30}:stored',
                'S002:' . claims_of($fresh)->{sid} . ':screen', 3);
flags('S002', paused => $false, extra_s => 600);
Exam::wait_for {
    ($api->beat($fresh)->{json}{ends_at} // 0) == $now + 3 * $hour + 600_000;
};
is($api->beat($fresh)->{json}{ends_at}, $now + 3 * $hour + 600_000,
   'extra time');
is($api->beat($fresh)->{json}{stored}{screen}, 12, 'stored never decreases');

# ---- a node that never heard of the session

my $cold = Exam::token(exam => '30', student => 'S004');
$res = $api->beat($cold, { seq => 1 })->{json};

is_shape($res, { %$reply, ends_at => 'null',
                 status => { map { $_ => 'null' } qw(locked paused closed) },
                 stored => { screen => 'null', camera => 'null' } },
         'a cold node takes the token and knows nothing');
Exam::wait_for { defined $api->beat($cold)->{json}{ends_at} };
$res = $api->beat($cold)->{json};
is_shape($res, { %$reply, stored => { screen => 'null', camera => 'null' } },
         'then it knows the exam; stored of a session without a login: null');

# ---- renewal of the token

my $seconds = int($now / 1000);
my $gen = 0;

sub issued {
    my ($left) = @_;

    return Exam::token(exam => '30', student => 'S005', exp => time + $left,
                       sid => Exam::sid('30', 'S005', ++$gen), gen => $gen);
}

ok(!exists $api->beat(issued(7400))->{json}{token},
   'over two hours left: no token');

my $old = issued(7100);
my $new = $api->beat($old)->{json}{token};

isnt($new, undef, 'under two hours left: a new token');
is_shape(claims_of($new), {
    exam => \'30', sub => \'S005', sid => \claims_of($old)->{sid}, gen => \2,
    iat => 'int', exp => 'int',
}, 'of the same session and generation');
cmp_ok(claims_of($new)->{exp}, '>=', $seconds + 2 * 86400,
       'good for the late window and a day');
is($api->beat($new)->{status}, 200, 'it is taken');
ok(!exists $api->beat($new)->{json}{token}, 'and is not renewed again');
is($api->beat($old)->{status}, 200, 'the old one holds to its end');
isnt($api->beat($old)->{json}{token}, undef, 'and is renewed each time');
is_problem($api->beat(issued(-1)), 401, 'token_expired', 'an expired token');

my $short = issued(2);
my $end = claims_of($short)->{exp};

is($api->beat($short)->{status}, 200, 'a token on its last seconds');
Exam::wait_for { time >= $end };
is_problem($api->beat($short), 401, 'token_expired',
           'has expired, though the node knows it by heart');

# the longest ids: there is no room for the token in the node

my $wide = $api->login($exam, $long)->{json}{token};

for (1 .. 2) {
    $res = $api->beat($wide);
    is_shape($res->{json}, $reply, 'the longest ids, no renewal');
}

# ---- directives

my $other = Exam::Api->new(Exam::server(http => Exam::http_lines(
    exam_heartbeat_interval => '7s', exam_segment_length => '1s',
    exam_kinds => 'face desk room')));

$res = $other->login('30', 'S006');
is_shape($res->{json}{next_segment}, { face => \0, desk => \0, room => \0 },
         'kinds of the directive');
is($res->{json}{heartbeat_s}, 7, 'and its interval');
$res = $other->beat($res->{json}{token})->{json};
is_shape($res->{stored}, { face => \-1, desk => \-1, room => \-1 },
         'in the heartbeat, too');
is($res->{next_s}, 7, 'next_s');
cmp_ok($res->{upload}{slot_ms}, '<', 1000, 'slots within the segment');

is_problem($api->req('GET', '/api/v1/heartbeat'), 405, 'method_not_allowed',
           'GET');

unlike(Exam::slurp($nginx->{error_log}), qr/eyJ|recording/,
       'no token or body in the log');

done_testing();
