# The journal in MySQL: what each type of record becomes, and that neither the
# order of the records nor their repetition makes a difference.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use List::Util qw(shuffle);
use Test::More;
use Spool;
use Exam::Journal qw(journal_file journal_line journal_write);

stack();

my $mysql = $Spool::Mysql;
my $old = '00000000-0000-4000-8000-000000000001';
my @tables = qw(sessions presence gaps outages deliveries events
                lost_segments);


# All rows as the clients see them; the surrogate key of events is not one.

sub tables {
    my %all;

    for my $table (@tables) {
        my @columns = map { $_->[0] } $mysql->sql(
            "SELECT column_name FROM information_schema.columns WHERE"
            . " table_schema = 'exam' AND table_name = '$table' AND"
            . " column_name <> 'id' ORDER BY ordinal_position");

        $all{$table} = [$mysql->sql('SELECT ' . join(', ', @columns)
                                    . " FROM $table ORDER BY 1, 2, 3, 4")];
    }

    return \%all;
}


sub lag {
    my $f = figures();
    return $f->{journal_lag_bytes} // -1;
}


sub one {
    my ($sql) = @_;
    my ($row) = $mysql->sql($sql);
    return $row;
}


my $sid = sid('S001', 1);
my $file = journal_file();

start_worker();


# ---- each type

{
    journal_write($file,
        journal_line(type => 'login', at => 1000, gen => 1000,
                     ip => '192.0.2.7', login_at => 1000),
        journal_line(type => 'presence', at => 9000, gen => 1000,
                     from => 2000, to => 8000, gap_ms => 3000, seq => 7),
        journal_line(type => 'gap', at => 8000, gen => 1000, from => 3000,
                     to => 6000, cause => 'candidate', missed => 2),
        journal_line(type => 'outage', at => 7000, what => 'redis',
                     from => 100, to => 7000),
        journal_line(type => 'sent', at => 2500, command => 11),
        journal_line(type => 'sent', at => 2600, command => 12),
        journal_line(type => 'ack', at => 3500, command => 11),
        journal_line(type => 'event', at => 4000, id => 'e1', name => 'blur',
                     client_time => 3990, offset_ms => -12,
                     data => '{"a":[1,"\\u00e9"]}'),
        journal_line(type => 'event', at => 4001, id => 'e2', name => 'plain'),
        journal_line(type => 'receipt', at => 4002, upload => upload_id(),
                     kind => 'screen', n => 1, bytes => 5,
                     sha256 => 'ab' x 32),
        journal_line(type => 'lost', at => 4003, kind => 'camera', n => 3,
                     reason => "disk \x{e9}"),
        journal_line(type => 'end', at => 9500, gen => 1000,
                     login_at => 1000, ended => 'logout'));

    ok(drained($file), 'a journal is taken over');

    my $t = tables();

    is_deeply($t->{sessions}, [[$sid, '30', 'S001', 1000, 't1', '192.0.2.7',
                                1000, 'logout', 9500]], 'login and end');
    is_deeply([map { [@$_[0 .. 6]] } @{ $t->{presence} }],
              [[$sid, '30', 'S001', 2000, 8000, 3000, 7]], 'presence');
    is_deeply($t->{gaps}, [[$sid, 3000, 6000, '30', 'S001', 't1', 'candidate',
                            2]], 'gap');
    is_deeply($t->{outages}, [['t1', 'redis', 100, 7000]], 'outage');
    is_deeply($t->{deliveries},
              [[11, 'S001', 'confirmed', $sid, 2500, 3500],
               [12, 'S001', 'sent', $sid, 2600, undef]], 'sent and ack');
    is_deeply($t->{events},
              [['30', 'S001', $sid, 'e1', 'blur', 3990, -12, 4000, 't1',
                '{"a":[1,"\\\\u00e9"]}'],
               ['30', 'S001', $sid, 'e2', 'plain', undef, undef, 4001, 't1',
                undef]], 'events');
    is_deeply([map { [@$_[0 .. 5]] } @{ $t->{lost_segments} }],
              [[$sid, 'camera', 3, '30', 'S001', 4003]], 'lost');
    is(one("SELECT HEX(reason) FROM lost_segments")->[0],
       uc unpack('H*', "disk \xc3\xa9"), 'with its reason');

    ok((wait_for { (redis('HGET', 'exam:{30}:seg:S001', "$sid:camera:3")
                    // '') eq "lost - - - - disk \xc3\xa9" }),
       'Redis knows it as lost, and why');
    ok((wait_for { (figures()->{journal_records_total} // 0) == 12 }),
       'records are counted');
    ok((wait_for { lag() eq '0' }), 'nothing is left');
    is(figures()->{journal_refused_total}, 0, 'nothing was refused');
    is(figures()->{journal_damaged_total}, 0, 'nothing was damaged');
}


# ---- a login whose record was lost: killed while the disk was full

{
    my $lost = sid('S009', 1);
    my %of = (student => 'S009', session => $lost, gen => 900);

    journal_write($file, journal_line(type => 'receipt', at => 950, %of,
        upload => upload_id(), kind => 'screen', n => 0, bytes => 5,
        sha256 => 'ab' x 32));

    ok(drained($file), 'a receipt of a session without a login');
    is_deeply([grep { $_->[0] eq $lost } @{ tables()->{sessions} }],
              [[$lost, '30', 'S009', 900, 't1', '', undef, '', undef]],
              'makes its session known');

    $mysql->sql("DELETE FROM sessions WHERE session = '$lost'");
}


# ---- new records are seen at once

{
    journal_write($file, journal_line(type => 'event', id => 'now',
                                      name => 'x'));
    ok((wait_for { one("SELECT 1 FROM events WHERE event = 'now'") } 5),
       'a record is taken over while its file grows');
}


# ---- in any order, more than once

{
    my @students = map { "S10$_" } 0 .. 9;
    my @nodes = qw(t1 t2);
    my @ended = qw(logout replaced forced exam_over);
    my @lines;

    srand 20261120;

    for my $k (0 .. 399) {
        my $student = $students[rand @students];
        my %who = (student => $student, node => $nodes[rand 2]);
        my $at = 1000 + int rand 50;

        push @lines,
            journal_line(%who, type => 'end', at => $at, gen => 5,
                         login_at => rand() < 0.5 ? 0 : 900,
                         ended => $ended[rand 4]),
            journal_line(%who, type => 'presence', from => 100 + int rand 99,
                         to => 500 + int rand 99, gap_ms => int rand 99,
                         seq => int rand 99),
            journal_line(%who, type => 'gap', from => 100 + int rand 3,
                         to => 500 + int rand 3, missed => int rand 3,
                         cause => (qw(candidate client node))[rand 3]),
            journal_line(%who, type => 'outage', what => 'node',
                         from => int rand 5, to => 100 + int rand 99),
            journal_line(%who, type => rand() < 0.7 ? 'sent' : 'ack',
                         at => $at, command => 1 + int rand 30,
                         session => sid($student, 1 + int rand 2)),
            journal_line(%who, type => 'event', at => $at, name => "n$k",
                         id => 'e' . int(rand 9), data => $k),
            journal_line(%who, type => 'lost', at => $at, kind => 'screen',
                         n => int rand 5, reason => "r$k");
    }

    push @lines, map {
        journal_line(student => $_, type => 'login', at => 900, gen => 5,
                     ip => "10.0.0.$_" =~ s/S//r, login_at => 900)
    } @students;

    my $fill = sub {
        my ($name, @these) = @_;

        stop_worker();
        $mysql->sql("TRUNCATE $_") for @tables, 'journal_positions';
        unlink glob Exam::spool() . '/journal/*';

        journal_write(journal_file(boot => $old, n => $_ + 1),
                      splice @these, 0, $_ == 2 ? @these : 700) for 0 .. 2;

        start_worker();
        ok(3 == (grep { drained(journal_file(boot => $old, n => $_)) } 1 .. 3),
           $name);
        return tables();
    };

    my $first = $fill->('three files', @lines);

    is(scalar @{ $first->{sessions} }, 10, 'a row a session');
    is_deeply([grep { $_->[4] ne 't1' || $_->[6] != 900 }
               @{ $first->{sessions} }], [], 'of the login, not of the end');
    is(scalar(grep { $_->[2] eq 'confirmed' } @{ $first->{deliveries} }),
       scalar(grep { defined $_->[5] } @{ $first->{deliveries} }),
       'confirmed is who has acknowledged');

    for my $round (1 .. 3) {
        is_deeply($fill->("shuffled $round", shuffle(@lines)), $first,
                  "order $round gives the same tables");
    }

    is_deeply($fill->('doubled', shuffle(@lines, @lines)), $first,
              'each record twice, too');

    stop_worker();
    my $before = tables();
    $mysql->sql('DELETE FROM journal_positions');
    start_worker();
    ok(3 == (grep { drained(journal_file(boot => $old, n => $_)) } 1 .. 3),
       'a position that was deleted');
    is_deeply(tables(), $before, 'changes nothing');
}


# ---- a state that somebody else wrote only rises

{
    $mysql->sql("INSERT INTO deliveries (command, student, state) VALUES"
                . " (501, 'S001', 'queued'), (502, 'S001', 'expired'),"
                . " (503, 'S001', 'expired')");

    journal_write($file,
        journal_line(type => 'sent', at => 10, command => 501),
        journal_line(type => 'sent', at => 10, command => 502),
        journal_line(type => 'ack', at => 20, command => 503));

    ok(drained($file), 'commands with a row');
    is_deeply([map { $_->[0] } $mysql->sql('SELECT state FROM deliveries'
        . ' WHERE command > 500 ORDER BY command')],
        [qw(sent expired confirmed)], 'queued, sent, expired, confirmed');
}


# ---- a database that is put back while the worker has its positions in mind

{
    my $rows = 'SELECT COUNT(*) FROM events';

    for my $way ("UPDATE journal_positions SET position = 0",
                 "DELETE FROM journal_positions")
    {
        my $before = one($rows)->[0];
        ok($before > 0, 'there are rows');

        # as restore --replace does it
        $mysql->sql("START TRANSACTION; DELETE FROM events; $way; COMMIT");
        journal_write($file, journal_line(type => 'event', at => 9,
                                          id => "again$before",
                                          name => 'x'));

        # a look that was under way may have missed the line
        ok((wait_for { one($rows)->[0] == $before + 1 } 20),
           'all that the journals have is taken over again');
        ok(drained($file), 'up to the end');
    }
}

# ---- a server that takes nothing now: that is not the record's fault

{
    my %what = (1836 => 'read-only', 1047 => 'out of its cluster',
                1194 => 'with a damaged table');

    for my $code (sort keys %what) {
        $mysql->sql("CREATE TRIGGER away BEFORE INSERT ON events FOR EACH ROW"
                    . " SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = $code");

        my $log = length Spool::worker_log();
        journal_write($file, journal_line(type => 'event', at => 9,
                                          id => "away$code", name => 'x'));

        ok((wait_for { substr(Spool::worker_log(), $log)
                           =~ /does not take the journal, waiting/ } 20),
           "a server $what{$code} is waited for");
        is(scalar(grep { /^journal-/ } files(Exam::spool() . '/bad')), 0,
           'the record is not put aside');

        $mysql->sql('DROP TRIGGER away');

        ok(drained($file), 'and taken over later');
        is(one("SELECT COUNT(*) FROM events WHERE event = 'away$code'")->[0],
           1, 'with its row');
    }
}

is(stop_worker(), 0, 'the worker leaves in order');
done_testing();
