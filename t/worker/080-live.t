# An emptied Redis is filled again: exams and rosters, the ledger and `stored`
# from the table, what this spool holds as received, the doorbell's group.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Spool;

stack();

my $spool = Exam::spool();
my $mysql = $Spool::Mysql;

$mysql->sql("INSERT INTO students (exam, student, name, seat, code_sha256,"
    . " extra_s, created_at) VALUES ('30', 'S001', 'A', '1',"
    . " UNHEX(SHA2('x', 256)), 60, 1), ('30', 'S002', 'B', '2',"
    . " UNHEX(SHA2('y', 256)), 0, 1)");

start_worker();
ok((wait_for { redis('EXISTS', 'exam:loaded') }),
   'an empty Redis is filled at the start');
is(redis('HGET', 'exam:{30}', 'state'), 'open', 'the exam');
ok(redis('HGET', 'exam:{30}:roster', '_v'), 'its roster');
is(json(redis('HGET', 'exam:{30}:flags', 'S001'))->{extra_s}, 60, 'its flags');


# a row the table refuses: an upload that stays in the spool
$mysql->sql('ALTER TABLE recordings ADD CONSTRAINT refuse CHECK (n <> 7)');

my @m = map { offer(n => $_) } 0 .. 4;
my $gap = offer(n => 6);

ok(settled($_), "upload $_->{n}") for @m, $gap;

my $held = offer(n => 7);

ok((wait_for { worker_log() =~ /refuses "$held->{id}"/ }),
   'one that stays in the spool');


# ---- emptied while the worker runs

{
    redis('FLUSHALL');

    ok((wait_for { redis('EXISTS', 'exam:loaded') }), 'it is filled again');
    is(redis('HGET', 'exam:{30}', 'title'), 'T', 'the exam');
    ok(redis('SISMEMBER', 'exam:active', '30'), 'is active');
    ok(redis('HGET', 'exam:{30}:roster', 'S002'), 'the roster');

    is_deeply([ledger($_)], ['stored', 't1', $_->{id}, $_->{length},
                             $_->{sha256}], "entry $_->{n} of the ledger")
        for @m, $gap;
    is((ledger($held))[0], 'received',
       'what the spool holds is received, not stored');
    is(redis('HGET', 'exam:{30}:stored', "S001:$m[0]{session}:screen"), 4,
       'stored stands before the gap');

    my $n = offer(n => 5);
    ok((wait_for { ((ledger($n))[0] // '') eq 'stored' }),
       'the doorbell rings again');
    is(redis('HGET', 'exam:{30}:stored', "S001:$m[0]{session}:screen"), 6,
       'and stored advances over the gap');
}


# ---- somebody else has refilled it

{
    redis('HDEL', 'exam:{30}:seg:S001', "$held->{session}:screen:7");
    redis('SET', 'exam:loaded', 'by another node');

    ok((wait_for { ((ledger($held))[0] // '') eq 'received' }),
       'this spool is announced to whoever refilled it');
}


# ---- only the stream was deleted

{
    redis('DEL', bell());

    my $n = offer(n => 8);
    ok((wait_for { row($n) && ((ledger($n))[0] // '') eq 'stored' }),
       'a stream without its group');
    ok((wait_for { redis('XLEN', bell()) == 0 }), 'gets it again');
}


# ---- a change in MySQL that nobody has shown

{
    $mysql->sql("UPDATE exams SET title = 'New', version = version + 1");
    ok((wait_for { redis('HGET', 'exam:{30}', 'title') eq 'New' } 15),
       'exams are compared and loaded');
}


# ---- MySQL is needed for it, and waited for

{
    $mysql->stop;
    redis('FLUSHALL');

    my $n = offer(n => 9, ring => 0);
    ok((wait_for { (figures()->{mysql_state} // '') eq 'down' } 15),
       'without MySQL');
    ok(!redis('EXISTS', 'exam:loaded'), 'Redis is not said to be loaded');

    $Spool::Mysql = Exam::Process->mysql;
    ok((wait_for { redis('EXISTS', 'exam:loaded') } 20),
       'with MySQL back it is');
    ok((wait_for { ((ledger($n))[0] // '') eq 'stored' } 40),
       'and the upload is settled');
}

stop_worker();
done_testing();
