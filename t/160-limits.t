# What one candidate may cost (design, section 3.1): heartbeats and polls by
# rate, logins by their failures; a right code is always let in.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api qw(is_problem raw_request);

my $code = $Exam::Api::Code;
my %students = map { $_ => { code => $code } } 'S001' .. 'S020';

Exam::load_exam('30', students => \%students);

# slow buckets: what is refused stays refused while the test looks

my $nginx = Exam::server(workers => 2, http => Exam::http_lines(
    exam_heartbeat_rate => '1r/m burst=3', exam_poll_rate => '1r/m burst=2')
    . "    set_real_ip_from 127.0.0.1;\n    real_ip_header X-Real-IP;\n");
my $api = Exam::Api->new($nginx);

sub token { return $api->login('30', $_[0])->{json}{token} }

# How many of the requests get 200, and the first answer that does not.

sub allowed {
    my ($tries, $ask) = @_;

    my ($ok, $other) = (0);

    for (1 .. $tries) {
        my $res = $ask->();
        $res->{status} == 200 ? $ok++ : ($other //= $res);
    }

    return ($ok, $other);
}

# ---- heartbeats

my $token = token('S001');
my $seq = 0;
my $before = $api->metric('heartbeats_total');
my $at = Exam::now_ms();
my ($ok, $res) = allowed(10, sub { $api->beat($token, { seq => $seq++ }) });

is($ok, 4, 'one heartbeat and a burst of three');
is_problem($res, 429, 'rate_limited', 'then 429');
is($api->metric('heartbeats_total'), $before + 10, 'all of them are counted');
is($api->metric('heartbeats_limited_total'), 6, 'the refused ones apart');

my $since = Exam::now_ms();
$api->beat($token, { seq => $seq++ });
ok($api->flushed('30', 'S001', $since), 'a limited beat refreshes `seen`');
is(($api->beat(token('S002')))->{status}, 200, 'each session has its own');

# ---- polls

($ok, $res) = allowed(10, sub { $api->me($token) });
is($ok, 3, 'one poll and a burst of two');
is_problem($res, 429, 'rate_limited', 'then 429, for /me');

($ok, $res) = allowed(10, sub {
    my $r = $api->get('/api/v1/recordings/screen/0', $_[0] // $token);
    return $r->{status} == 404 ? { status => 200 } : $r;
});
is($ok, 0, 'recordings are polled from the same bucket');
is_problem($res, 429, 'rate_limited', 'and get 429');
is($api->logout($token)->{status}, 200, 'a logout is never limited');

# ---- no limit, and what drains

my $free = Exam::Api->new(Exam::server(http => Exam::http_lines(
    exam_heartbeat_rate => '0', exam_poll_rate => '20r/s')));

$token = $free->login('30', 'S003')->{json}{token};
($ok) = allowed(200, sub { $free->beat($token) });
is($ok, 200, 'exam_heartbeat_rate 0: no limit');

($ok, $res) = allowed(5, sub { $free->me($token) });
cmp_ok($ok, '<', 5, 'exam_poll_rate 20r/s, no burst');
is_problem($res, 429, 'rate_limited', 'refused');
ok(Exam::wait_for { $free->me($token)->{status} == 200 }, 'and let in again');

# the documented defaults

my $default = Exam::Api->new(Exam::server());

$token = $default->login('30', 'S004')->{json}{token};
($ok) = allowed(60, sub { $default->beat($token) });
cmp_ok($ok, '>=', 21, 'heartbeats: a burst of 20 by default');
cmp_ok($ok, '<=', 25, 'and 2 a second');
($ok) = allowed(60, sub { $default->me($token) });
cmp_ok($ok, '>=', 21, 'polls: a burst of 20 by default');
cmp_ok($ok, '<=', 24, 'and 1 a second');

# ---- failed logins: 10 a minute per student and address, 600 per address

# The counters start anew each minute, so a round that crosses its end is
# begun again in the next.

sub minute { return int(time / 60) }

sub within_a_minute {
    my ($round) = @_;

    for (1 .. 3) {
        my $minute = minute();
        my @result = $round->($_);

        return @result if minute() == $minute;
    }

    die "never within a minute\n";
}

sub try {
    my ($student, $with, $address) = @_;

    return $api->req('POST', '/api/v1/login',
                     { 'X-Real-IP' => $address // '10.0.0.1' },
                     { exam => '30', student => $student, code => $with });
}

sub codes {
    my ($n, @try) = @_;

    my %codes;
    $codes{ try(@try)->{json}{code} // 'ok' }++ for 1 .. $n;
    return \%codes;
}

my ($wrong, $right, $again, $other, $elsewhere) = within_a_minute(sub {
    my $address = "10.0.1.$_[0]";

    return (codes(15, 'S005', '1' x 16, $address),
            try('S005', $code, $address), try('S005', '1' x 16, $address),
            try('S006', '1' x 16, $address),
            try('S005', '1' x 16, "10.0.2.$_[0]"));
});

is_deeply($wrong, { invalid_credentials => 10, too_many_attempts => 5 },
          'ten wrong codes a minute, then 429');
is($right->{status}, 200, 'the right code is let in all the same');
is_problem($other, 401, 'invalid_credentials', 'another student: 401');
is_problem($elsewhere, 401, 'invalid_credentials', 'another address: 401');
is_problem($again, 429, 'too_many_attempts', 'and after it a wrong one is not');

# a code that cannot be one is a wrong one; the answer says when to come again

($wrong, $again) = within_a_minute(sub {
    my $address = "10.0.5.$_[0]";

    return (codes(15, 'S008', 'nope', $address),
            try('S008', 'nope', $address));
});
is_deeply($wrong, { invalid_credentials => 10, too_many_attempts => 5 },
          'codes of a wrong form count, too');
cmp_ok($again->{headers}{'retry-after'}, '>', 60 - (time % 60) - 5,
       'Retry-After: the next minute');

# right codes and refusals of another kind do not count

($wrong) = within_a_minute(sub {
    my $address = "10.0.3.$_[0]";

    codes(30, 'S007', $code, $address);
    return codes(10, 'S007', '1' x 16, $address);
});
is_deeply($wrong, { invalid_credentials => 10 }, 'only 401s count');

# a whole school behind one address: many students, few failures each

($wrong, $right) = within_a_minute(sub {
    my $address = "10.0.4.$_[0]";
    my %codes;
    my $sock = $api->connect;

    for my $n (1 .. 610) {
        my $body = qq({"exam":"30","student":"nobody$n","code":"x"});
        my ($r) = $api->raw(raw_request('POST', '/api/v1/login',
                                        ["X-Real-IP: $address"], $body),
                            sock => $sock);
        $codes{ $r->{json}{code} }++;
    }

    return (\%codes, try('S008', $code, $address));
});

is_deeply($wrong, { invalid_credentials => 600, too_many_attempts => 10 },
          '600 wrong codes a minute from one address, then 429');
is($right->{status}, 200, 'and a right code from there is let in');
is($api->metric('logins_refused_total'), 654, 'they are counted');

done_testing();
