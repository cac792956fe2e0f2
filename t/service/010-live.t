# MySQL to Redis: the refill of an emptied Redis under its lease, and the
# repair of single exams.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib', 't/service/lib';

use Build;
use Ctl;
use Test::More;

stack();

my $dir = dir();
my $ini = "$dir/exam.ini";
my $program = Build::program('live');

# what the program prints for these words

sub live {
    my (@words) = @_;

    open my $out, '-|', $program, $ini, @words or die;
    my @lines = <$out>;
    close $out or die "live @words: $?\n";
    chomp @lines;

    return join '; ', @lines;
}

sub exists_key { return redis('EXISTS', @_) }


# ---- an empty database

is(live('loaded'), '"" loaded: ok', 'a new Redis is not loaded');
is(live('refill', 'refill'), 'spool refill: ok; refill: ok',
   'the first one fills it, the second has nothing to do');
like(live('loaded'), qr/\A"t1-\d{13}-[0-9a-f]{8}" loaded: ok\z/,
     'loaded, by whom and when');
ok(!exists_key('exam:rebuild'), 'the lease is given back');

is_deeply({ @{ redis('XINFO', 'GROUPS', 'exam:recordings:t1')->[0] } }->{name},
          'workers', 'the group is there');


# ---- a full one

ok_ctl('exam', 'create', $_, '--title', $_) for qw(draft open closed old);
ok_ctl('roster', 'generate', $_, '--count', 250, '--codes', "$dir/$_.csv")
    for qw(open closed old);
ok_ctl('student', 'set', 'open', 's007', '--extra', 60);
ok_ctl('exam', 'open', $_) for qw(open closed old);
ok_ctl('exam', 'close', $_) for qw(closed old);
ok_ctl('exam', 'archive', 'old');

my %sid = (s001 => 'a1' x 16, s002 => 'b2' x 16, old => 'c3' x 16);
my @rows;
my $id = 0;

sub recording {
    my ($exam, $student, $kind, $n, %opt) = @_;

    push @rows, sprintf "('t1-%032x', '%s', '%s', '%s', '%s', %d, %d, %d, "
        . "REPEAT('%s', 32), 'video/webm', 1, 2, 't1', 'local', 'p')", ++$id,
        $exam, $student, $opt{sid} // $sid{$student}, $kind, $n,
        $opt{variant} // 0, 1000 + $n, $opt{variant} ? 'v' : 'x';
}

recording('open', 's001', 'screen', $_) for 0 .. 449;
recording('open', 's001', 'screen', 451);
recording('open', 's001', 'camera', $_) for 1 .. 3;
recording('open', 's001', 'file', 0);
recording('open', 's001', 'screen', 0, sid => $sid{old});
recording('open', 's002', 'screen', $_) for 0 .. 1;
recording('open', 's002', 'screen', 2, variant => 1);
recording('closed', 's001', 'screen', 0);
recording('old', 's001', 'screen', 0);

# more students than script calls between two looks at the replies
recording('closed', sprintf('s%03d', $_), 'screen', 0,
          sid => sprintf('%032x', $_)) for 3 .. 250;

sql('INSERT INTO recordings (upload_id, exam, student, session, kind, n, '
    . 'variant, bytes, sha256, content_type, received_at, stored_at, node, '
    . 'store, path) VALUES ' . join ',', @rows);

my %before = map { $_ => member($_) } qw(draft open closed old);
my $roster = member('open', 'roster');
my $flags = member('open', 'flags');

redis('FLUSHALL');
is(live('refill'), 'spool refill: ok', 'refill');

is_deeply(member($_), $before{$_}, "exam $_ as before")
    for qw(draft open closed old);
is_deeply(member('open', 'roster'), $roster, 'the roster as before');
is_deeply(member('open', 'flags'), $flags, 'the flags as before');
is_deeply([sort @{ redis('SMEMBERS', 'exam:active') }], ['closed', 'open'],
          'nodes serve what is open or closed');
ok(!exists_key(key('old', 'roster')), 'no roster of an archived exam');
ok(!exists_key(key('old', 'seg:s001')), 'nor its ledger');

{
    my $seg = member('open', 'seg:s001');

    is(scalar keys %$seg, 456, 'the ledger has all rows');
    is($seg->{"$sid{s001}:screen:449"},
       sprintf('stored t1 t1-%032x 1449 %s', 450, '78' x 32),
       'in the form of all programs');

    my $stored = member('open', 'stored');

    is($stored->{"s001:$sid{s001}:screen"}, 449, 'stored up to the gap');
    is($stored->{"s001:$sid{s001}:camera"}, undef,
       'number 0 is missing: not known');
    is($stored->{"s001:$sid{s001}:file"}, 1, 'the next attachment\'s number');
    cmp_ok($stored->{'s001:bytes'}, '>', 0, 'bytes of the student');
    is($stored->{"s001:$sid{old}:screen"}, 0, 'an earlier session');
    is($stored->{"s002:$sid{s002}:screen"}, 1, 'a double is no number');

    is(redis('HLEN', key('closed', 'stored')), 2 * 249,
       'a closed exam too, each student with the bytes');
}

redis('FLUSHALL');
is(live('loaded', 'forget', 'refill', 'refill'),
   '"" loaded: ok; forget: ok; refill: redis; spool refill: ok',
   'scripts that are gone are loaded, and the repetition passes');
is(redis('HLEN', key('open', 'stored')), 3 + 1 + 2, 'with the ledger');


# ---- the lease

redis('FLUSHALL');
redis('SET', 'exam:rebuild', 'other', 'PX', 60000);
is(live('refill'), 'refill: busy', 'another one does it');
ok(!exists_key('exam:loaded') && !exists_key(key('open')),
   'nothing is written');
is(redis('GET', 'exam:rebuild'), 'other', 'its lease stays');

redis('FLUSHALL');
is(live('steal'), 'steal: busy', 'the lease was lost on the way');
ok(!exists_key('exam:loaded'), 'then it does not count as loaded');
is(redis('GET', 'exam:rebuild'), 'other', 'the new lease stays');

redis('FLUSHALL');
is(live('broken', 'refill'), 'broken: db; spool refill: ok',
   'a failure gives the lease back');


# ---- sync

is(live('sync'), '0 sync: ok', 'nothing to repair');

redis('HSET', key('open'), 'version', 1, 'state', 'draft');
redis('DEL', key('closed', 'roster'));
redis('DEL', key('old'));
is(live('sync'), '3 sync: ok', 'three exams are repaired');
is_deeply(member('open'), $before{open}, 'a version that differs');
is(redis('HLEN', key('closed', 'roster')), 251, 'a roster that is missing');
is_deeply(member('old'), $before{old}, 'an archived one');
is(live('sync'), '0 sync: ok', 'and then none');

redis('RENAME', key('open', 'roster'), key('open', 'roster:new'));
redis('HSET', key('open', 'roster:new'), 'ghost', '{}');
is(live('sync'), '1 sync: ok', 'a load that broke off');
ok(!exists_key(key('open', 'roster:new')), 'leaves nothing behind');
is_deeply(member('open', 'roster'), $roster, 'nothing of it is taken over');

is(live('none', 'draft'), 'none: not found; draft: ok', 'a single one');

redis('HSET', key('draft'), 'paused_at', 'x' x 100000);
redis('CONFIG', 'SET', 'maxmemory', 1);
redis('HDEL', key('open'), 'version');
is(live('sync'), '0 sync: redis', 'a Redis that refuses to write');
redis('CONFIG', 'SET', 'maxmemory', 0);
is(live('sync'), '1 sync: ok', 'is repaired later');

redis('DEL', 'exam:recordings:t1');
is(live('group', 'group'), 'group: ok; group: ok', 'the group, twice');

done_testing();
