# A process that dies while it changes a shard: what it left is not looked at,
# the shard is filled again from tokens and Redis (design, section 8, Zone).
#
# No test can hit those nanoseconds by a signal.  So the memory is made what
# such a process leaves: the flag of a mutation under way, and chains that lead
# nowhere.

use strict;
use warnings;
no warnings 'portable';         # addresses have 64 bits

use lib 't/lib';

use Test::More;

use Exam;
use Exam::Api;

my $magic = pack 'Q<', 0x45584d33;      # the first word of a shard

Exam::load_exam('30', students => { map { $_ => { code => $Exam::Api::Code } }
                               'S001' .. 'S008' });

my $api = Exam::Api->new(Exam::server(workers => 2,
    http => Exam::http_lines(exam_zone => 'exam:4m shards=2')));


# The shards of a process: where each begins in its memory.

sub shards {
    my ($pid, $mem) = @_;

    my @found;

    for (split /\n/, Exam::slurp("/proc/$pid/maps")) {
        my ($from, $to) = /^(\w+)-(\w+) rw-s .*\/dev\/zero/ or next;

        ($from, $to) = (hex $from, hex $to);
        sysseek $mem, $from, 0 or next;
        sysread $mem, my $bytes, $to - $from or next;

        for (my $at = 0; ($at = index $bytes, $magic, $at) >= 0; $at += 8) {
            push @found, $from + $at if $at % 8 == 0;
        }
    }

    return @found;
}

sub word {
    my ($mem, $at, $value) = @_;

    sysseek $mem, $at, 0 or die "seek: $!\n";

    if (defined $value) {
        syswrite $mem, pack('Q<', $value) or die "write: $!\n";
        return;
    }

    sysread $mem, my $bytes, 8;
    return unpack 'Q<', $bytes;
}


# magic, dirty, resets, buckets, mask: see ngx_http_exam_shard_sh_t

sub tear {
    my ($mem, $shard) = @_;

    my $buckets = word($mem, $shard + 24);
    my $mask = word($mem, $shard + 32);

    word($mem, $buckets + 8 * $_, 0x4141414141414140) for 0 .. $mask;
    word($mem, $shard + 8, 1);
}


my @tokens = map { $api->login('30', $_)->{json}{token} } 'S001' .. 'S008';

is($api->beat($_, { seq => 1 })->{status}, 200, 'a heartbeat') for @tokens;

# what the node says of itself: (now, flushed_at)

sub node {
    return map { $_ // 0 }
           @{ Exam::redis_cmd('HMGET', 'exam:node:t1', 'now', 'flushed_at') };
}

ok(Exam::wait_for { (node())[1] > 0 }, 'it tells up to when all is in Redis');

my ($pid) = $api->nginx->workers;

SKIP: {
    open my $mem, '+<:raw', "/proc/$pid/mem"
        or skip "the memory of a process cannot be written here: $!", 18;

    my @shards = shards($pid, $mem);

    is(scalar @shards, 2, 'two shards') or last SKIP;

    tear($mem, $_) for @shards;

    my $torn = Exam::now_ms();

    is($api->beat($_, { seq => 2 })->{status}, 200, 'a heartbeat afterwards')
        for @tokens;

    is($api->metric('zone_resets_total'), 2, 'both shards were emptied');
    is($api->metric('sessions'), 8, 'and filled again');
    ok((grep { $_ == $pid } $api->nginx->workers), 'none has ended');

    ok((Exam::wait_for {
           my $stored = $api->beat($tokens[0], { seq => 3 })->{json}{stored};
           defined $stored->{screen};
       } 10), 'what was stored is known again');

    is($api->me($_)->{status}, 200, 'and /me') for $tokens[0];
    is($api->logout($_)->{status}, 200, 'a logout') for $tokens[1];
    is($api->beat($tokens[1])->{status}, 403, 'which counts');

    # who was heard before, and not again since, is not known to be silent

    my ($now, $flushed);

    ok((Exam::wait_for { ($now, $flushed) = node(); $now > $torn + 3000 } 20),
       'the node goes on');
    cmp_ok($flushed, '<=', $torn, 'what it lost is not called flushed');

    close $mem;
}

done_testing();
