package Storm;

# The random storm: a stack of its own (two worker processes of nginx as a
# daemon, Redis with AOF, MariaDB, exam-worker, the spool on a small file system
# of its own), and the faults that come over it.  Which fault comes next, when
# and for how long is drawn from the seed alone: each round has every kind once,
# in an order of its own, and two faults run at a time unless they are of the
# same server.

use strict;
use warnings;

use lib 't/lib';

use File::Copy ();
use List::Util qw(shuffle);
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use Exam;
use Exam::Process;

our ($Exam, $Node) = ('storm', 't1');
our ($Nginx, $Redis, $Mysql, $Worker);

# what is wrong: the test fails
our @Findings;

# kinds that cannot be had here: kind => why
our %Without;

# how often each kind has struck
our %Struck;

# when the disk was full, and processes of nginx were killed
my (@full, @killed);

my $main_pid = $$;
my (%object, %down, @undo, @deck, $fill, @mounted, $watching);
my $small = '80m';

BEGIN { *wait_for = \&Exam::Process::wait_for }


sub spew { return Exam::spew(@_) }


sub slurp { return Exam::slurp(@_) }


sub finding {
    my ($text) = @_;

    push @Findings, $text if @Findings < 100;
    warn sprintf "# %s finding: %s\n", clock(), $text;
}


sub clock { return POSIX::strftime('%H:%M:%S', gmtime) }


# ---- the stack

# Lines of the error log that the faults explain.

sub allowed {
    return (qr/exam redis/, qr/exited on signal 9/, qr/No space left/,
            qr/shared memory zone "exam:\d+" was locked by/,
            qr/exam journal/, qr/exam spool is full/,
            qr/exam \w+\(\) for upload/,
            qr/exam \w+\(\) of ".*" in the spool failed/,
            qr/open socket #\d+ left in connection/,
            qr/bind\(\) to .* failed \(98: Address already in use\)/,
            qr/still could not bind/,
            qr/(?:kill|sendmsg)\(.*\) failed \(\d+: (?:No such process|
                                                       Broken\ pipe)/x);
}


sub start {
    mount_spool();

    $Redis = $object{redis} = Exam::redis(aof => 1);
    # a page that is torn by the kill must be found again
    $Mysql = $object{mysql} = Exam::mysql(args =>
                                          ['--innodb-doublewrite=1']);
    Exam::ini();
    ctl('migrate');
    start_worker();

    wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 30
        or die "the worker does not fill Redis\n";

    $Nginx = Exam::server(workers => 2, threads => 8, log_level => 'notice',
        allow => [allowed()], main => 'worker_shutdown_timeout 20s;',
        http => Exam::http_lines(exam_events_rate => '0',
            exam_heartbeat_interval => '1s', exam_redis_timeout => '500ms',
            exam_zone => 'exam:8m shards=2',
            exam_upload_expire => "${Storm::Client::Expire}s"));

    # only a daemon lets itself be replaced
    my $conf = "$Nginx->{dir}/nginx.conf";

    $Nginx->stop('QUIT');
    spew($conf, slurp($conf) =~ s/daemon off/daemon on/r);
    start_nginx();
}


# A file system that a fault can fill up.

sub mount_spool {
    my $spool = Exam::spool();
    my $rc = system "mount -t tmpfs -o size=$small,mode=0700 tmpfs $spool"
                    . ' 2>/dev/null';

    push @mounted, $spool if $rc == 0;
    $Without{'disk full'} = 'no right to mount' if $rc != 0;

    $rc = system 'strace -f -o /dev/null true >/dev/null 2>&1';
    $Without{'slow disk'} = 'processes cannot be traced' if $rc != 0;
}


# examctl; its output.  It has to work.

sub ctl {
    my (@args) = @_;
    my ($rc, $out, $err) = Exam::examctl(@args);

    die "examctl @args: $out$err\n" if $rc != 0;
    return $out;
}


sub start_worker {
    $Worker = $object{worker} = Exam::worker();
}


sub start_redis {
    $Redis = $object{redis} =
        Exam::Process->redis(dir => Exam::dir() . '/redis', aof => 1);
}


sub start_mysql {
    $Mysql = $object{mysql} = Exam::Process->mysql(
        dir => Exam::dir() . '/mysql', args => ['--innodb-doublewrite=1']);
}


sub master {
    return (slurp("$Nginx->{dir}/nginx.pid") =~ /^(\d+)$/)[0] // 0;
}


sub start_nginx {
    for (1 .. 5) {
        last if system($ENV{TEST_NGINX_BINARY} // Exam::bin('nginx'), '-p',
                       "$Nginx->{dir}/", '-c', "$Nginx->{dir}/nginx.conf",
                       '-e', $Nginx->{error_log}) == 0;
        sleep 1;
    }

    wait_for { my $pid = master(); $pid && kill(0, $pid) && workers() == 2 } 30
        or die "nginx does not start\n";
}


# Worker processes of the master that serves.

sub workers {
    return Exam::Process::workers({ pid => master() });
}


# All processes of this nginx, of whatever master: their stderr is its log.

sub nginx_all {
    my @pids;

    for my $proc (glob '/proc/[0-9]*') {
        my $log = readlink "$proc/fd/2" // next;

        push @pids, $proc =~ s{.*/}{}r if $log eq $Nginx->{error_log};
    }

    return @pids;
}


# What a killed parent has left serves on, for a while, and has to go before
# the next start.

sub clear_nginx {
    my ($signal) = @_;

    for my $how ($signal, 'KILL') {
        kill $how, $_ for nginx_all();
        last if wait_for { !nginx_all() } $how eq 'KILL' ? 10 : 3;
    }
}


# ---- faults: `of` what, one at a time; `do` returns what ends it

my %fault = (
    'kill nginx worker' => { of => 'nginx', do => sub {
        my ($f) = @_;
        my @pids = workers();

        kill 'KILL', $pids[$f->{pick} * @pids];
        push @killed, time;
        wait_for { workers() == 2 } 20
            or finding('nginx has not replaced a killed worker process');
        return;
    } },

    'kill nginx master' => { of => 'nginx', do => sub {
        my ($f) = @_;

        kill 'KILL', master();
        return sub {
            clear_nginx($f->{pick} < 0.5 ? 'KILL' : 'QUIT');
            push @killed, time;
            start_nginx();
        };
    } },

    'kill exam-worker' => { of => 'worker', do => sub { return killed('worker',
                                                       \&start_worker) } },
    'kill Redis' => { of => 'redis', do => sub { return killed('redis',
                                                       \&start_redis) } },
    'kill MariaDB' => { of => 'mysql', do => sub { return killed('mysql',
                                                       \&start_mysql) } },

    'stop nginx worker' => { of => 'nginx', do => sub {
        my ($f) = @_;
        my @pids = workers();

        return stopped($pids[$f->{pick} * @pids]);
    } },

    'stop nginx master' => { of => 'nginx', do => sub {
        return stopped(master());
    } },

    'stop exam-worker' => { of => 'worker', do => sub {
        return stopped($Worker->pid);
    } },

    'stop Redis' => { of => 'redis', do => sub {
        return stopped($Redis->pid);
    } },

    'stop MariaDB' => { of => 'mysql', do => sub {
        return stopped($Mysql->pid);
    } },

    'Redis FLUSHALL' => { of => 'redis', do => sub {
        redis('FLUSHALL');
        return;
    } },

    'Redis empty' => { of => 'redis', do => sub {
        my $undo = killed('redis', \&start_redis);

        system 'rm', '-rf', Exam::dir() . '/redis/appendonlydir';
        return $undo;
    } },

    'reload' => { of => 'nginx', do => sub {
        my %old = map { $_ => 1 } workers();

        kill 'HUP', master();
        wait_for {
            my @now = workers();
            return @now == 2 && !grep { $old{$_} } @now;
        } 30 or finding('nginx did not reload');
        return;
    } },

    'binary upgrade' => { of => 'nginx', do => \&upgrade },
    'disk full' => { of => 'disk', do => \&fill_up },
    'slow disk' => { of => 'nginx', do => \&slow_down },
);


sub kinds { return sort keys %fault }


sub killed {
    my ($name, $start) = @_;

    $down{$name} = 1;
    $object{$name}->stop('KILL');

    return sub {
        $start->();
        delete $down{$name};
    };
}


sub stopped {
    my ($pid) = @_;

    kill 'STOP', $pid;
    return sub { kill 'CONT', $pid };
}


# The new master's workers serve beside the old ones until those have gone.

sub upgrade {
    my ($f) = @_;

    my $old = master();

    kill 'USR2', $old;

    wait_for { my $new = master(); $new && $new != $old && workers() == 2 } 30
        or finding('there is no new master process') and return;

    return sub {
        kill 'QUIT', $old;
        wait_for { !-e "/proc/$old/exe" || !readlink "/proc/$old/exe" } 60
            or finding('the old master process does not end');
    };
}


sub fill_up {
    open $fill, '>', Exam::spool() . '/filler' or die "filler: $!\n";

    top_up();
    finding('the disk is not full') unless $!{ENOSPC};

    my $since = time;

    return sub {
        push @full, [$since, time];
        close $fill;
        undef $fill;
        unlink Exam::spool() . '/filler';
    };
}


# Was nginx killed before its journal could have a record of that moment (ms)
# that nobody has waited for?  It is written within 2 s where the disk has room.

sub unwritten {
    my ($ms) = @_;

    my $at = $ms / 1000;
    my ($full) = grep { $_->[0] - 2 < $at && $at < $_->[1] + 2 } @full;
    my $until = ($full ? $full->[1] : $at) + 2;

    return scalar grep { $at - 1 < $_ && $_ < $until } @killed;
}


# What was freed meanwhile, too.

sub top_up {
    return unless $fill;

    for my $size (65536, 4096) {
        my $block = 'x' x $size;
        1 while syswrite $fill, $block;
    }
}


sub slow_down {
    my ($f) = @_;

    my @pids = workers();
    my $log = Exam::dir() . '/strace.err';
    my $delay = int(100_000 + 900_000 * $f->{pick});
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDERR, '>', $log;
        exec 'setpriv', '--pdeathsig', 'TERM', 'strace', '-f', '-q', '-o',
            '/dev/null', '-e', 'trace=fdatasync,fsync', '-e',
            "inject=fdatasync,fsync:delay_enter=$delay", map { ('-p', $_) }
            @pids or POSIX::_exit(127);
    }

    wait_for {
        return 1 if waitpid($pid, WNOHANG) != 0;
        return !grep { slurp($_) =~ /^TracerPid:\s+0$/m }
                map { glob "/proc/$_/task/*/status" } @pids;
    } 20 or finding('strace does not attach: ' . slurp($log));

    return sub {
        kill 'TERM', $pid;
        wait_for { waitpid($pid, WNOHANG) != 0 } 20 or kill 'KILL', $pid;
    };
}


# ---- the order

# The next fault: everything about it is drawn here, whatever the stack does.
# Half of them strike with the one before.

sub draw {
    @deck = map { { kind => $_, length => 1 + rand 4, pick => rand,
                    pause => rand() < 0.5 ? rand 0.3 : 1 + rand 4 } }
            shuffle kinds() unless @deck;
    return shift @deck;
}


# Until the seconds are over and `enough` says so, at most $limit seconds.

sub blow {
    my ($seconds, $limit, $enough) = @_;

    my $begin = time;

    $watching = 1;

    until (time > $begin + $seconds && $enough->()) {
        last if time > $begin + $limit;

        my $f = draw();
        next if $Without{$f->{kind}};

        my $at = time + $f->{pause};

        pass_time(sub { time > $at });
        strike($f);
    }

    pass_time(sub { !@undo });
}


sub strike {
    my ($f) = @_;

    my $of = $fault{$f->{kind}}{of};

    pass_time(sub { !grep { $_->{of} eq $of } @undo });

    my $undo = $fault{$f->{kind}}{do}->($f);

    $Struck{$f->{kind}}++;
    push @undo, { of => $of, at => time + $f->{length}, do => $undo }
        if $undo;
}


# What runs beside: faults that end, servers that must be there.

sub pass_time {
    my ($done) = @_;

    until ($done->()) {
        my ($due) = grep { $_->{at} <= time } @undo;

        if ($due) {
            @undo = grep { $_ != $due } @undo;
            $due->{do}->();
            next;
        }

        top_up();
        watch();
        sleep 0.05;
    }
}


# A server that ends without our doing.

sub watch {
    return unless $watching;

    for my $name (sort keys %object) {
        next if $down{$name} || $object{$name}->running;

        finding(sprintf '%s ended by itself, status 0x%x', $name,
                $object{$name}{status} // 0);
        { worker => \&start_worker, redis => \&start_redis,
          mysql => \&start_mysql }->{$name}->();
    }
}


sub redis {
    local $SIG{__WARN__} = sub { };

    for (1 .. 3) {
        my @reply = eval { Exam::redis_cmd(@_) };
        return $reply[0] unless $@;
    }

    return;
}


# ---- the end

# What has expired becomes a tombstone, what has been one for long goes: with
# each start of a worker process.

sub swept {
    my $part = Exam::spool() . '/part';

    for my $left (qr/\.(?:part|info|tmp)$/, qr/\.gone$/) {
        my $at = time - 25 * 3600;

        utime $at, $at, glob "$part/??/*";
        kill 'HUP', master();
        wait_for { !grep { /$left/ } glob "$part/??/*" } 30 or return 0;
    }

    return 1;
}


sub finish {
    undef $watching;
    $_->{do}->() for @undo;
    @undo = ();
    clear_nginx('QUIT') if $Nginx;
}


# On a finding, or a death, the folder stays, with what is in the spool.

sub keep {
    my $dir = Exam::dir();

    return if $File::Temp::KEEP_ALL++;

    system 'cp', '-a', "$dir/spool", "$dir/spool.kept" if @mounted;
    warn "# kept: $dir\n";
}


END {
    my $status = $?;

    local $?;

    if ($$ == $main_pid) {
        keep() if $status && $Mysql;
        clear_nginx('QUIT') if $Nginx;
        $_->stop('TERM', 10) for grep { $_->{name} eq 'exam-worker' }
                                     Exam::Process::all();
        system "umount -l $_" for @mounted;
    }
}


1;
