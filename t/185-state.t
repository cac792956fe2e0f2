# When a heartbeat's state is written to Redis: when it has changed, and when a
# beat in between may have told another node of another one.

use strict;
use warnings;

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api;

Exam::redis();
Exam::load_exam('30', students => { S001 => { code => $Exam::Api::Code } },
                ends_at => Exam::now_ms() + 1e7);

my $api = Exam::Api->new(Exam::server());
my $token = $api->login('30', 'S001')->{json}{token};

sub state_of { return Exam::redis_cmd('HGET', 'exam:{30}:state', 'S001') }

# The state in Redis after the beat: it is taken away before.

sub told {
    my ($seq, $state) = @_;

    Exam::redis_cmd('HDEL', 'exam:{30}:state', 'S001');
    Exam::redis_cmd('ZREM', 'exam:{30}:seen', 'S001');

    my $beat = $api->beat($token, { seq => $seq, state => $state });
    is($beat->{status}, 200, "seq $seq: answered");

    ok((Exam::wait_for {
            Exam::redis_cmd('ZSCORE', 'exam:{30}:seen', 'S001') }),
       "seq $seq: flushed");
    return state_of();
}

is(told(1, { battery => 0.5 }), '{"battery":50}', 'the first state is told');
is(told(2, { battery => 0.5 }), undef, 'the same one is not told again');
is(told(3, { battery => 0.4 }), '{"battery":40}', 'another one is');
is(told(4, { battery => 0.4 }), undef, 'and not again');
is(told(6, { battery => 0.4 }), '{"battery":40}', 'a beat was elsewhere: told');
is(told(7, { battery => 0.4 }), undef, 'and not again');
is(told(7, { battery => 0.4 }), '{"battery":40}', 'the same seq again: told');

done_testing;
