# Redis, MySQL or the store away: uploads wait or go on, and everything is made
# good by itself once they are back.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Spool;

stack(redis => { aof => 1, args => ['--appendfsync', 'always'] });

my $spool = Exam::spool();
my $recordings = Exam::recordings();


sub path {
    my ($m) = @_;

    return "$recordings/30/$m->{student}/$m->{session}-$m->{kind}-$m->{n}-"
           . "$m->{id}.webm";
}


sub redis_back {
    $Spool::Redis = Exam::Process->redis(aof => 1,
                                         args => ['--appendfsync', 'always']);
}


sub up {
    start_worker();
    return wait_for { redis('EXISTS', 'exam:loaded')
                      && (figures()->{mysql_state} // '') eq 'up' };
}


ok(up(), 'the worker is up');


# ---- Redis

{
    my $before = offer(n => 0);
    ok(settled($before), 'an upload');

    $Spool::Redis->stop;

    my $m = offer(n => 1, ring => 0);

    ok((wait_for { row($m) } 15), 'without Redis the scan finds an upload');
    ok((wait_for { !-e "$spool/work/$m->{id}.info" }), 'and finishes it');
    ok((wait_for { -s "$spool/settle.since" }), 'what is unsettled is noted');

    redis_back();

    ok((wait_for { ((ledger($m))[0] // '') eq 'stored' } 20),
       'it is settled once Redis is back');
    ok((wait_for { !-e "$spool/settle.since" }), 'the note is gone');
    is((ledger($before))[0], 'stored', 'the ledger was not emptied');
    is(redis('HGET', 'exam:{30}:stored', "S001:$m->{session}:screen"), 1,
       'stored has advanced');

    my $after = offer(n => 2);
    ok(settled($after), 'the doorbell rings again');

    # the same, with a worker that does not live to see it

    $Spool::Redis->stop;
    my $k = offer(n => 3, ring => 0);
    ok((wait_for { row($k) && -s "$spool/settle.since" } 15),
       'once more without Redis');
    stop_worker('KILL');
    start_worker();
    redis_back();
    ok((wait_for { ((ledger($k))[0] // '') eq 'stored' } 20),
       'the next worker settles it');
}


# ---- MySQL

{
    $Spool::Mysql->stop;

    my @m = map { offer(n => $_) } 10 .. 12;

    ok((wait_for { (figures()->{state} // '') eq 'waiting' } 15),
       'without MySQL the worker waits');
    ok((wait_for { (figures()->{mysql_state} // '') eq 'down' } 15),
       'and says why');
    ok(-e path($m[0]), 'with a file in the store');
    is(scalar(grep { /info/ } map { files("$spool/$_") } qw(work ready)), 3,
       'and all manifests in the spool');
    is(redis('XLEN', bell()), 3, 'nothing was acknowledged');

    $Spool::Mysql = Exam::Process->mysql;

    ok(settled($_, 20), "upload $_->{n} is committed once MySQL is back")
        for @m;
    ok((wait_for { figures()->{state} eq 'running' }), 'the worker runs');

    # killed in the middle of it

    my @k = map { offer(n => 20 + $_, student => "M$_") } 0 .. 299;
    wait_for { rows("student LIKE 'M%'") } 20;
    $Spool::Mysql->stop('KILL');
    $Spool::Mysql = Exam::Process->mysql;

    ok((wait_for { rows("student LIKE 'M%'") == 300
                   && !files("$spool/work") && !redis('XLEN', bell()) } 40),
       'MySQL killed in between costs nothing');
    is(rows("student LIKE 'M%' AND variant > 0"), 0, 'and doubles nothing');

    # SIGTERM does not wait for it

    $Spool::Mysql->stop;
    my $t = offer(n => 400);
    ok((wait_for { (figures()->{state} // '') eq 'waiting' } 15), 'again');
    is($Spool::Worker->stop('TERM', 5), 0, 'SIGTERM ends the wait');
    ok(-e "$spool/work/$t->{id}.info", 'the upload stays claimed');

    $Spool::Mysql = Exam::Process->mysql;
    start_worker();
    ok(settled($t), 'and is committed by the next worker');
}


# ---- a table that is not there, a row that MySQL refuses

{
    $Spool::Mysql->sql('RENAME TABLE recordings TO elsewhere');

    my $m = offer(n => 500);
    ok((wait_for { (figures()->{state} // '') eq 'waiting' } 15),
       'without its table the worker waits');
    $Spool::Mysql->sql('RENAME TABLE elsewhere TO recordings');
    ok(settled($m, 20), 'and goes on with it');

    $Spool::Mysql->sql('ALTER TABLE recordings ADD CONSTRAINT refuse'
                       . ' CHECK (n <> 507)');

    stop_worker();
    my @m = map { offer(n => 500 + $_) } 1 .. 20;
    start_worker();

    ok((wait_for { rows('n BETWEEN 501 AND 520') == 19 }),
       'a refused row stands alone');
    ok((wait_for { redis('XLEN', bell()) == 1 }),
       'only it is not acknowledged');
    is(row($m[6]), undef, 'it has no row');
    ok(-e path($m[6]), 'its file is in the store');
    is_deeply([files("$spool/work")], ["$m[6]{id}.info"],
              'its manifest is kept');
    like(worker_log(), qr/error .*refuses "$m[6]{id}"/, 'the log says so');
    ok((wait_for { figures()->{failed_total} == 1 }), 'it is counted');

    $Spool::Mysql->sql('ALTER TABLE recordings DROP CONSTRAINT refuse');
    stop_worker();
    start_worker();
    ok(settled($m[6]), 'it is stored when the table takes it');
}


# ---- the store

{
    rename "$recordings/30", "$recordings/31" or die;
    Exam::Process::spew("$recordings/30", 'in the way');

    my $m = offer(n => 600);

    ok((wait_for { (figures()->{state} // '') eq 'waiting' } 15),
       'a store that takes nothing is waited for');
    is(row($m), undef, 'no row without a file');

    unlink "$recordings/30" or die;
    rename "$recordings/31", "$recordings/30" or die;

    # its doorbell stays pending until the next sweep of the stream
    ok((wait_for { row($m) && ((ledger($m))[0] // '') eq 'stored' } 20),
       'the upload is stored once the store is back');
    ok((wait_for { !-e "$spool/work/$m->{id}.info" }), 'and done with');
    ok(-e path($m), 'its file is there');
}

stop_worker();
done_testing();
