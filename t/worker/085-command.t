# Commands that their sender could not announce, deliveries that expire, and a
# sender that is killed at each of its system calls.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Spool;

stack(redis => { aof => 1, args => ['--appendfsync', 'always'] });

my $mysql = $Spool::Mysql;
my $ini = Exam::dir() . '/exam.ini';
my $out = Exam::dir() . '/command.out';

$mysql->sql("INSERT INTO students (exam, student, name, seat, code_sha256,"
    . " created_at) VALUES " . join ',',
    map { "('30', 'S00$_', 'N', '', UNHEX(SHA2('x', 256)), 1)" } 1 .. 3);

sub value { return ($Spool::Mysql->sql(@_))[0][0] }

# examctl command ...; the exit code, -9 when it was killed

sub command {
    my (@args) = @_;

    my @before = ref $args[0] ? @{ shift @args } : ();
    my $status = system('sh', '-c', 'exec "$@" > "$0" 2>&1', $out, @before,
                        Exam::Process::bin('examctl'), '--config', $ini,
                        'command', @args);

    # strace ends as its child has ended
    return $status & 127 ? -($status & 127) : $status >> 8;
}

sub entries {
    return map { { @{ $_->[1] } } }
           @{ redis('XRANGE', 'exam:{30}:control', '-', '+') };
}

sub sends {
    my ($id) = @_;
    return grep { $_->{op} eq 'send' && $_->{id} == $id } entries();
}

sub flags {
    my ($student) = @_;
    return json(redis('HGET', 'exam:{30}:flags', $student) // '{}');
}

sub announced {
    my ($id) = @_;
    return value("SELECT announced_at IS NOT NULL FROM commands "
                 . "WHERE id = $id");
}

sub last_id { return value('SELECT COALESCE(MAX(id), 0) FROM commands') }

start_worker();
ok((wait_for { redis('EXISTS', 'exam:loaded') }), 'the worker is up');


# ---- Redis away and back

{
    is(command('send', 30, '--to', 'S001', '--type', 'message', '--payload',
               '{"text":"before"}'), 0, 'with Redis');

    my $before = last_id();

    $Spool::Redis->stop;

    is(command('send', 30, '--to', 'S001', '--type', 'lock'), 5,
       'without Redis: it is said');
    like(Exam::slurp($out), qr/queued, exam-worker will announce it/,
         'what will become of it');

    my $id = last_id();

    is(command('send', 30, '--to', 'all', '--type', 'message', '--payload',
               '{"text":"x"}', '--expires', '1s'), 5, 'one that expires');
    is(command('cancel', $before), 5, 'one that is cancelled');
    ok((wait_for { value("SELECT expires_at < $^T * 0 + "
                         . "ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000) "
                         . "FROM commands WHERE id = $id + 1") }),
       'the second has passed');

    $Spool::Redis = Exam::Process->redis(aof => 1,
                                         args => ['--appendfsync', 'always']);

    ok((wait_for { sends($id) } 20), 'Redis is back: it is announced');
    is_deeply([map { @$_{qw(to students type)} } sends($id)],
              ['list', 'S001', 'lock'], 'once, as it was sent');
    ok(flags('S001')->{locked}, 'behind its effect');
    ok((wait_for { announced($id) && announced($before) }), 'MySQL knows it');
    is((grep { $_->{op} eq 'cancel' && $_->{id} == $before } entries()), 1,
       'the other one is cancelled');
    is(scalar(sends($id + 1)), 0, 'what has expired is not announced');
}


# ---- a fail-over, or a restart, that lost what Redis heard last

{
    my $m = offer(data => 'stored');
    ok(settled($m), 'a segment is stored');

    is(command('send', 30, '--to', 'S002', '--type', 'message', '--payload',
               '{"text":"lost"}'), 0, 'a message');

    my $id = last_id();
    my ($seg) = @{ redis('KEYS', 'exam:{30}:seg:*') };

    is(scalar(sends($id)), 1, 'is announced');

    redis('DEL', 'exam:{30}:control', $seg);
    redis('CLIENT', 'KILL', 'TYPE', 'normal');

    ok((wait_for { sends($id) } 20), 'it is announced again');
    ok(settled($m), 'the segment is told to be stored again');
}


# ---- deliveries expire; who has confirmed it has

{
    is(command('send', 30, '--to', 'all', '--type', 'upload_now'), 0, 'to all');

    my $id = last_id();

    $Spool::Mysql->sql("UPDATE deliveries SET state = 'sent' "
                       . "WHERE command = $id AND student = 'S002'");
    $Spool::Mysql->sql("UPDATE deliveries SET state = 'confirmed' "
                       . "WHERE command = $id AND student = 'S003'");

    is(command('send', 30, '--to', 'all', '--type', 'upload_now'), 0,
       'another one');

    my $other = last_id();

    $Spool::Mysql->sql("UPDATE commands SET expires_at = "
                       . "ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000) "
                       . "WHERE id = $id");

    ok((wait_for { value("SELECT COUNT(*) FROM deliveries WHERE command = $id "
                         . "AND state = 'expired'") == 2 } 20),
       'queued and sent become expired');
    is(value("SELECT state FROM deliveries WHERE command = $id AND "
             . "student = 'S003'"), 'confirmed', 'confirmed stays');
    is(value("SELECT COUNT(*) FROM deliveries WHERE command = $other AND "
             . "state = 'queued'"), 3, 'the other one has not expired');
    stop_worker();

    # a worker that was not there then
    $Spool::Mysql->sql("UPDATE commands SET expires_at = issued_at - 999999 "
                       . "WHERE id = $other");
    start_worker();
    ok((wait_for { value("SELECT COUNT(*) FROM deliveries WHERE command = "
                         . "$other AND state = 'expired'") == 3 } 20),
       'what has expired long ago is found at the start');
}


# ---- MySQL away

{
    $Spool::Mysql->stop;
    is(command('send', 30, '--to', 'S002', '--type', 'lock'), 5,
       'without MySQL nothing is sent');
    like(Exam::slurp($out), qr/examctl: MySQL: /, 'which is said');

    $Spool::Mysql = Exam::Process->mysql;

    is(command('send', 30, '--to', 'S002', '--type', 'lock'), 0, 'with it');

    my $id = last_id();

    $Spool::Mysql->sql("UPDATE commands SET announced_at = NULL "
                       . "WHERE id = $id");
    ok((wait_for { announced($id) } 20), 'the worker is back, too');
    is(scalar(sends($id)), 2, 'twice in the stream is harmless');
}


# ---- killed at each system call that sends something, to MySQL and to Redis

SKIP: {
    skip 'no strace', 1
        if system('strace -o /dev/null true 2>/dev/null') != 0;

    # a sanitizer cannot look for leaks in a process that is traced
    local $ENV{ASAN_OPTIONS} = join ':', $ENV{ASAN_OPTIONS} // (),
                                    'detect_leaks=0';

    my ($points, $nothing, $late, $twice) = (0, 0, 0, 0);
    my @wrong;

    for my $call (qw(sendto write)) {
        for (my $n = 1; $n < 100; $n++) {
            my $before = last_id();
            my $extra = value("SELECT extra_s FROM students "
                              . "WHERE student = 'S003'");

            my $rc = command(['strace', '-f', '-o', '/dev/null', '-e',
                              "inject=$call:error=EIO:signal=KILL:when=$n"],
                             'send', 30, '--to', 'S003', '--type',
                             'extra_time', '--payload', '{"seconds":1}');

            last if $rc == 0;

            if ($rc != -9) {
                push @wrong, "$call $n: ended with $rc";
                last;
            }

            $points++;

            # locks and transactions of the dead go with their connection
            my $alive = wait_for {
                value("SELECT COUNT(*) FROM information_schema.processlist "
                      . "WHERE id = IS_USED_LOCK('exam-live:30')") == 0
            };
            push @wrong, "$call $n: the lock stays" unless $alive;

            my $id = last_id();
            my $now = value("SELECT extra_s FROM students "
                            . "WHERE student = 'S003'");

            if ($id == $before) {
                $nothing++;
                push @wrong, "$call $n: time without a command"
                    if $now != $extra;
                next;
            }

            push @wrong, "$call $n: " . ($now - $extra) . ' s more'
                if $now != $extra + 1;

            $late++ unless announced($id);
        }
    }

    ok($points > 20, "killed at $points points");
    ok($nothing > 5, "$nothing of them before the commit: nothing was done");
    ok($late > 5, "$late of them behind it: not announced");

    ok((wait_for { !value('SELECT COUNT(*) FROM commands WHERE '
                          . 'announced_at IS NULL AND expires_at > '
                          . 'UNIX_TIMESTAMP() * 1000') } 20),
       'the worker announces all of them');

    for my $row ($Spool::Mysql->sql("SELECT id FROM commands WHERE "
                                    . "type = 'extra_time'")) {
        my $n = sends($row->[0]);
        $twice++ if $n > 1;
        push @wrong, "command $row->[0]: $n times in the stream"
            if $n < 1 || $n > 2;
    }

    ok($twice <= 5, "only what was just being marked is announced twice: "
                    . "$twice");
    is(flags('S003')->{extra_s}, value("SELECT extra_s FROM students WHERE "
       . "student = 'S003'"), 'Redis shows what MySQL has');
    is(value("SELECT COUNT(*) FROM deliveries d JOIN commands c ON "
             . "d.command = c.id WHERE c.type = 'extra_time'"),
       value("SELECT COUNT(*) FROM commands WHERE type = 'extra_time'"),
       'each command has its delivery');
    is_deeply(\@wrong, [], 'at every point all or nothing');
}

stop_worker();
done_testing();
