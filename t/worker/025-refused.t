# A damaged file is wanted again: the ledger says refused and why, `resend` of
# the session lists it, `stored` does not pass it; whatever happens to Redis.
# The number that comes again is stored like any other.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Spool;

my @aof = (aof => 1, args => ['--appendfsync', 'always']);

stack(redis => { @aof });

my $spool = Exam::spool();
my $session = sid();


sub damaged { return offer(data => 'short', length => 6,
                           durable_offset => 6, @_) }


sub refused {
    my ($m) = @_;

    return wait_for { ((ledger($m))[0] // '') eq 'refused' } 20;
}


sub resend {
    return redis('HGET', 'exam:{30}:stored', "S001:$session:resend");
}


sub stored {
    return redis('HGET', 'exam:{30}:stored', "S001:$session:screen");
}


sub note_of { return json(Exam::Process::slurp("$spool/bad/$_[0]{id}.info")) }


start_worker();
ok((wait_for { redis('EXISTS', 'exam:loaded') }), 'the worker is up');


# ---- asked for again, and come again

{
    my @m = map { offer(n => $_) } 0, 2;
    my $bad = damaged(n => 1);

    ok(settled($_), "upload $_->{n}") for @m;
    ok(refused($bad), 'a damaged file between them is refused');
    is((ledger($bad))[5], 'wrong_size', 'the reason stands behind it');
    is(resend(), 'screen:1', 'it is wanted again');
    is(stored(), 0, 'stored does not pass it');
    ok((wait_for { redis('XLEN', bell()) == 0 }), 'its doorbell is answered');

    my $new = offer(data => 'whole', n => 1);

    ok(settled($new), 'it comes again, with another content');
    is((ledger($new))[2], $new->{id}, 'the ledger names the new upload');
    is(row($new)->{variant}, 0, 'which is no variant: there is no other');
    is(resend(), undef, 'nothing is wanted any more');
    is(stored(), 2, 'stored passes it');
    ok(-e "$spool/bad/$bad->{id}.rec", 'the damaged file is kept');

    # another one damaged, beside what is stored

    my $late = damaged(n => 2);
    ok((wait_for { -e "$spool/bad/$late->{id}.info"
                   && redis('XLEN', bell()) == 0 }),
       'a damaged double of a stored number');
    is((ledger($late))[0], 'stored', 'changes nothing');
    is(resend(), undef, 'and is not wanted');

    stop_worker();
    start_worker();

    my $last = offer(n => 3);
    ok(settled($last), 'the next worker');
    is((ledger($new))[0], 'stored', 'does not refuse what came again');
    is(resend(), undef, 'nor ask for it');
}


# ---- Redis away

my $away;

{
    $Spool::Redis->stop;

    $away = damaged(n => 4, ring => 0);
    ok((wait_for { -e "$spool/bad/$away->{id}.info"
                   && !-e "$spool/work/$away->{id}.info" } 15),
       'damaged while Redis is away');

    $Spool::Redis = Exam::Process->redis(@aof);

    ok(refused($away), 'it is refused once Redis is back');
    is(resend(), 'screen:4', 'and wanted again');

    # a worker that does not live to see it

    $Spool::Redis->stop;

    my $m = damaged(n => 5, ring => 0);
    ok((wait_for { -e "$spool/bad/$m->{id}.info"
                   && !-e "$spool/work/$m->{id}.info" } 15),
       'once more, and the worker is killed');
    stop_worker('KILL');

    $Spool::Redis = Exam::Process->redis(@aof);
    start_worker();

    ok(refused($m), 'the next one tells it');
    is(resend(), 'screen:4,screen:5', 'both are wanted');
}


# ---- Redis emptied; an exam that is not active any more

{
    my $json = note_of($away);
    my $id = upload_id();

    $Spool::Mysql->sql("INSERT INTO exams (id, title, state, starts_at,"
        . " ends_at, pause_ms, paused_at, version, created_at) VALUES"
        . " ('31', 'Old', 'archived', 1, 2, 0, 0, 3, 1)");
    Exam::Process::spew("$spool/bad/$id.info", JSON::PP->new->encode(
        { %$json, id => $id, exam => '31' }));
    Exam::Process::spew("$spool/bad/" . upload_id() . '.info', 'no note');

    my $lost = damaged(n => 9);
    ok(refused($lost), 'a third one');

    redis('FLUSHALL');
    ok((wait_for { redis('EXISTS', 'exam:loaded') } 20),
       'Redis is filled again');

    is(resend(), 'screen:4,screen:5,screen:9', 'the same numbers are wanted');
    is_deeply([map { (ledger({ %$lost, n => $_ }))[0] } 1 .. 5],
              [qw(stored stored stored refused refused)],
              'what came again is stored, the others are refused');
    is((ledger($away))[5], 'wrong_size', 'with the reason');
    is(stored(), 3, 'stored ends before them');
    is(redis('EXISTS', 'exam:{31}:seg:S001'), 0,
       'an archived exam is left alone');

    my $new = offer(n => 4);
    ok(settled($new), 'one comes again');
    is(resend(), 'screen:5,screen:9', 'and is wanted no more');
}

is(stop_worker(), 0, 'the worker leaves in order');
done_testing();
