# Lines that are no records, files that are cut short, rows that a table does
# not take, and what becomes of old files.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Spool;
use Exam::Journal qw(crc32c journal_file journal_line journal_parse
                     journal_write);

stack();

my $mysql = $Spool::Mysql;
my $spool = Exam::spool();
my $old = '00000000-0000-4000-8000-000000000001';


sub event {
    my ($id, %more) = @_;
    return journal_line(type => 'event', id => $id, name => 'x', %more);
}

sub events {
    my ($like) = @_;
    return join ' ', map { $_->[0] } $mysql->sql("SELECT event FROM events"
        . " WHERE event LIKE '$like' ORDER BY event");
}

sub dead_pid {
    my $pid = fork // die;
    POSIX::_exit(0) unless $pid;
    waitpid $pid, 0;
    return $pid;
}


start_worker();


# ---- damaged lines in the middle

{
    my $file = journal_file();
    my $bad = event('b2') =~ s/"b2"/"b3"/r;

    journal_write($file, event('b1'), $bad, "\n", "nonsense\n",
                  "00000000 {}\n", event('b4'), 'x' x 9000 . "\n",
                  event('b5'), 'y' x 700_000 . "\n", event('b6'));

    ok(drained($file), 'a journal with damaged lines');
    is(events('b%'), 'b1 b4 b5 b6', 'all others are taken');
    ok((wait_for { figures()->{journal_damaged_total} >= 6 }),
       'the damaged ones are counted');
    like(worker_log(), qr/error journal \d+ damaged lines in "/,
         'and logged');
    is(scalar(grep /^journal-/, files("$spool/bad")), 0,
       'nobody was told that they are there: they are not kept');
}


# ---- a line that another program wrote

{
    my $file = journal_file(n => 2);
    my $text = '{"type":"song","at":1,"node":"t1"}';

    journal_write($file, event('c1'), crc32c($text) . " $text\n",
                  journal_line(type => 'event', id => 'c2'), event('c3'));

    ok(drained($file), 'a journal with unknown records');
    is(events('c%'), 'c1 c3', 'all others are taken');
    is(scalar(grep /^journal-/, files("$spool/bad")), 2,
       'a copy of each is kept');
    ok((wait_for { figures()->{journal_refused_total} == 2 }),
       'they are counted');
    like(worker_log(), qr/alert journal a record at \d+ of/, 'and logged');
}


# ---- rows that the table refuses

{
    $mysql->sql('ALTER TABLE events ADD CONSTRAINT refuse'
                . " CHECK (event NOT IN ('d013', 'd014', 'd200'))");

    my $file = journal_file(n => 3);
    my @lines = map { event(sprintf 'd%03d', $_) } 0 .. 399;

    journal_write($file, @lines[0 .. 99],
                  event('d-long', name => "\x{1f600}" x 16),
                  journal_line(type => 'login', ip => 'x' x 46,
                               login_at => 1),
                  @lines[100 .. 399]);

    ok(drained($file), 'a journal with rows that a table refuses');
    is(scalar(split / /, events('d%')), 398, 'all others are in');

    my @kept = grep /^journal-.*-3-\d+\.line\z/, files("$spool/bad");

    is(scalar @kept, 4, 'the refused ones are kept');
    is_deeply([sort map { $_->{id} // $_->{type} }
               map { journal_parse("$spool/bad/$_") } @kept],
              [qw(d013 d014 d200 login)], 'these');
    ok((wait_for { figures()->{journal_refused_total} == 6 }),
       'they are counted');

    $mysql->sql('ALTER TABLE events DROP CONSTRAINT refuse');
}


# ---- a writer that cannot be seen: in another container, with other numbers

{
    my $far = journal_file(n => 8, pid => dead_pid());
    my $line = event('far');

    journal_write($far, substr $line, 0, 30);
    ok((wait_for { taken($far)
                   || (figures()->{journal_lag_bytes} // 0) == 30 } 20),
       'half a line is seen');

    journal_write($far, substr $line, 30);
    ok(drained($far), 'the other half comes');
    is(events('far'), 'far', 'it was waited for');
}


# ---- a torn end

{
    my $live = journal_file(n => 4);
    my $dead = journal_file(n => 1, pid => dead_pid());
    my $boot = journal_file(n => 1, boot => $old, pid => $$);
    my $line = event('t2');

    for ($live, $dead, $boot) {
        my ($pid, $n) = /-(\d+)-(\d+)\.log\z/;
        journal_write($_, event("t1-$pid-" . ($_ eq $boot ? 'b' : $n)),
                      substr $line, 0, 20);
    }

    ok(drained($dead), 'a torn line of a dead process is left behind');
    ok(drained($boot), 'and one of another boot');
    ok((wait_for { taken($live) == (-s $live) - 20 }),
       'one of a living process is waited for');

    # two looks later it is still not given up
    ok(!(wait_for { taken($live) == -s $live } 1.5), 'however long');

    journal_write($live, substr $line, 20);
    ok(drained($live), 'until it is whole');
    is(events('t%'), join(' ', sort "t1-$$-4", "t1-$$-b",
        't2', (map { "t1-$_-1" } $dead =~ /-(\d+)-1\.log/)),
       'nothing else is missing');
    like(worker_log(), qr/warn journal ".*" ends in a torn line: 20 bytes/,
         'the log says so');
}


# ---- a file that became shorter

{
    my $file = journal_file(n => 5);

    journal_write($file, event('s1'), event('s2'));
    ok(drained($file), 'a journal');

    truncate $file, length event('s1');
    ok((wait_for { worker_log()
                   =~ /alert journal ".*-5\.log" has \d+ bytes,/ }),
       'that lost its end is an alert');

    journal_write($file, event('s3'));
    ok(drained($file), 'what comes then is taken over');
    is(events('s%'), 's1 s2 s3', 'and nothing is forgotten');
}


# ---- retention

{
    my $month = time - 31 * 86400;
    my @dead = map { journal_file(n => $_, pid => dead_pid()) } 6 .. 7;
    my $live = journal_file(n => 8);

    # the first one is longer than two batches
    stop_worker();
    journal_write($dead[0], map { event(sprintf 'r6-%04d', $_) } 1 .. 1500);
    journal_write($live, event('r8'));
    utime $month, $month, $_ for $dead[0], $live;
    start_worker();

    journal_write($dead[1], event('r7'));

    ok((wait_for { !-e $dead[0] }), 'an old journal is removed');
    ok((wait_for { taken($dead[0]) == 0 }), 'its position, too');
    is(scalar(split / /, events('r6-%')), 1500, 'after it was taken over');
    ok(drained($dead[1]) && -e $dead[1], 'a young one stays');
    ok(-e $live, 'and one whose process lives');

    stop_worker();
    ini_with(worker => { journal_days => 0 });
    utime $month, $month, $dead[1];
    start_worker();
    journal_write($live, event('r9'));
    ok(drained($live), 'with journal_days = 0');
    ok(!(wait_for { !-e $dead[1] } 1.5), 'journals are kept for ever');

    stop_worker();
    ini_with();
    $mysql->sql('RENAME TABLE events TO elsewhere');
    my $late = journal_file(n => 9, pid => dead_pid());
    journal_write($late, event('r10'));
    utime $month, $month, $late;
    start_worker();
    ok((wait_for { worker_log() =~ /alert journal mysql does not take/ }),
       'a table that is missing is an alert');
    ok((wait_for { (figures()->{journal_lag_bytes} // 0) > 0 }),
       'the lag is shown');
    ok(-e $late, 'what was not taken over is not removed, however old');
    $mysql->sql('RENAME TABLE elsewhere TO events');
    ok((wait_for { events('r10') && !-e $late } 20), 'it goes on by itself');
}


# ---- --once

{
    stop_worker();
    my $file = journal_file(n => 10);
    journal_write($file, map { event(sprintf 'o%04d', $_) } 1 .. 1500);
    start_worker('--once');
    ok((wait_for { !$Spool::Worker->running } 20), 'one pass');
    is(scalar(split / /, events('o%')), 1500, 'takes over the whole journal');
}

# ---- intervals that cannot be

for (['heartbeat_s', 60, qr/offline_s is not more than one and a half of/],
     ['offline_s', 0, qr/:\d+: bad offline_s "0"/],
     ['journal_days', 'x', qr/:\d+: bad journal_days "x"/])
{
    my ($name, $value, $why) = @$_;

    ini_with(worker => { $name => $value });
    my ($rc, undef, $err) = Exam::run(Exam::bin('exam-worker'), '--config',
                                      Exam::dir() . '/exam.ini');
    is($rc, 1, "$name = $value is refused");
    like($err, $why, 'with the reason');
}

done_testing();
