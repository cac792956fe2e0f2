# kill -9 of the worker at moments of chance while it takes over a long
# journal, MySQL stopped, killed and started again: every event exactly once,
# and a position that never tells more or less than the rows.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use IO::Handle;
use Test::More;
use Time::HiRes qw(sleep);
use Spool;
use Exam::Journal qw(journal_file journal_line journal_write);

stack();

my $old = '00000000-0000-4000-8000-000000000001';
my $seed = $ENV{EXAM_SEED} // time;

srand $seed;


sub one {
    my ($sql) = @_;
    my ($row) = $Spool::Mysql->sql($sql);
    return $row->[0];
}


# Events that lie before the position of their journal.

sub before {
    my (%at) = @_;

    my $n = 0;

    for my $row ($Spool::Mysql->sql('SELECT journal, position'
                                    . ' FROM journal_positions'))
    {
        my $text = Exam::slurp(Exam::spool() . "/journal/$row->[0]");
        $n += () = substr($text, 0, $row->[1]) =~ /"type":"event"/g;
    }

    return $n;
}


sub journal {
    my ($n, $name, $count) = @_;

    my $file = journal_file(boot => $old, n => $n);

    journal_write($file, map {
        (journal_line(type => 'event', name => 'x', id => "$name-$_",
                      student => 'S' . $_ % 50),
         $_ % 4 ? () : journal_line(type => 'presence', from => $_, to => $_,
                                    gap_ms => 0, seq => $_))
    } 1 .. $count);

    return $file;
}


# ---- the worker is killed

{
    my $total = 30_000;
    my ($kills, $apart, $amid) = (0, 0, 0);

    journal($_, "k$_", 10_000) for 1 .. 3;

    for (1 .. 20) {
        start_worker();
        my $first = one('SELECT COUNT(*) FROM events');
        wait_for { one('SELECT COUNT(*) FROM events') > $first
                   || $first == $total } 20;
        sleep rand 0.05;
        $kills++ if defined $Spool::Worker->stop('KILL');

        my $rows = one('SELECT COUNT(*) FROM events');
        $amid++ if $rows < $total;
        $apart++ if $rows != before();
    }

    is($kills, 20, 'killed twenty times');
    cmp_ok($amid, '>=', 5, "in the middle of it, seed $seed");
    is($apart, 0, 'rows and positions never were apart');

    start_worker();
    ok((wait_for { one('SELECT COUNT(*) FROM events') == $total } 60),
       'every event is there');
    is(one('SELECT COUNT(DISTINCT session, event) FROM events'), $total,
       'once');
    ok((wait_for { figures()->{journal_lag_bytes} eq '0' }), 'all is done');
    is(before(), $total, 'the positions are at the end');
}


# ---- killed between the rows and their position

for my $table (qw(journal_positions events)) {
    my $file = journal(20 + length $table, "l-$table", 100);
    my ($name) = $file =~ m{([^/]+)\z};
    my $rows = "SELECT COUNT(*) FROM events WHERE event LIKE 'l-$table-%'";
    my $done = 'SELECT COUNT(*) FROM journal_positions WHERE journal ='
               . " '$name'";

    stop_worker();

    # another client keeps the worker from writing this table
    open my $client, '|-', 'mariadb', '--no-defaults', '-uroot', '-S',
        $Spool::Mysql->socket, '--unbuffered', 'exam' or die $!;
    $client->autoflush(1);
    print $client "LOCK TABLES $table READ;\n";

    start_worker();
    ok((wait_for { one('SELECT COUNT(*) FROM information_schema.processlist'
                       . " WHERE state LIKE 'Waiting for table%'") } 20),
       "the worker cannot write to $table");
    is(one($rows) . one($done), '00', 'neither rows nor position');
    stop_worker('KILL');
    close $client;

    # what the server had from the killed client is undone or not yet done
    wait_for { !one('SELECT COUNT(*) FROM information_schema.innodb_trx') };
    is(one($rows) . one($done), '00', 'after a kill, too');

    start_worker();
    ok((wait_for { one($done) } 20), 'the next one takes them over');
    is(one($rows), 100, 'all of them');
}


# ---- MySQL goes away

{
    my $file = journal(4, 'm', 20_000);

    for my $signal (qw(TERM KILL)) {
        my $rows = one("SELECT COUNT(*) FROM events WHERE event LIKE 'm-%'");
        wait_for { one("SELECT COUNT(*) FROM events WHERE event LIKE 'm-%'")
                   > $rows } 20;
        $Spool::Mysql->stop($signal);

        journal_write($file, journal_line(type => 'event', name => 'x',
                                          id => "n-$signal"));

        ok((wait_for { (figures()->{mysql_state} // '') eq 'down'
                       && figures()->{journal_lag_bytes} > 0 } 15),
           "MySQL away ($signal): the lag grows");
        $Spool::Mysql = Exam::Process->mysql;
    }

    ok((wait_for { one("SELECT COUNT(*) FROM events WHERE event REGEXP"
                       . " '^[mn]-'") == 20_002 } 60),
       'with MySQL back all is taken over');
    is(one("SELECT COUNT(DISTINCT session, event) FROM events WHERE event"
           . " REGEXP '^[mn]-'"), 20_002, 'once');
    ok((wait_for { before() == 50_202
                   && figures()->{journal_lag_bytes} eq '0' }),
       'to the end');
    like(worker_log(), qr/warn journal mysql does not take/, 'it was logged');
    like(worker_log(), qr/notice journal mysql takes the journal again/,
         'and its end');
}


# ---- uploads and the journal do not wait for each other

{
    my $file = journal(5, 'u', 20_000);
    my @m = map { offer(n => $_) } 0 .. 49;

    ok(settled($m[-1], 30), 'uploads go on beside a long journal');
    ok((wait_for { one("SELECT COUNT(*) FROM events WHERE event LIKE 'u-%'")
                   == 20_000 } 60), 'and it beside them');

    $Spool::Mysql->sql('RENAME TABLE recordings TO elsewhere');
    offer(n => 60);
    ok((wait_for { figures()->{state} eq 'waiting' } 15),
       'uploads that wait for their table');

    journal_write($file, journal_line(type => 'event', name => 'x',
                                      id => 'meanwhile'));
    ok((wait_for { one("SELECT COUNT(*) FROM events WHERE event ="
                       . " 'meanwhile'") }), 'do not hold up the journal');
    $Spool::Mysql->sql('RENAME TABLE elsewhere TO recordings');
}


# ---- Redis is away: what is lost there is told later

{
    my $sid = sid('S001');
    my $file = journal_file(n => 6);

    my $state = sub {
        my ($n) = @_;
        return redis('HGET', 'exam:{30}:seg:S001', "$sid:screen:$n") // '';
    };

    $Spool::Redis->stop;
    journal_write($file, map { journal_line(type => 'lost', kind => 'screen',
                                            n => $_, reason => '') } 70 .. 72);
    ok((wait_for { one('SELECT COUNT(*) FROM lost_segments') == 3 }),
       'without Redis the journal goes on');
    stop_worker('KILL');
    start_worker();
    $Spool::Redis = Exam::Process->redis;
    ok((wait_for { $state->(70) =~ /^lost/ && $state->(72) =~ /^lost/ } 20),
       'what clients gave up is told to Redis when it is back');

    redis('FLUSHALL');
    ok((wait_for { $state->(71) =~ /^lost/ } 20), 'and again when it was'
       . ' emptied');
}

is(stop_worker(), 0, 'the worker leaves in order');
done_testing();
