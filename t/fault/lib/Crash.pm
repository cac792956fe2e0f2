package Crash;

# Crash points: the system calls with which a running process touches spool,
# store, MySQL, Redis or the client are listed from a trace of the real thing,
# and a test then kills the process at each of them (strace delivers SIGKILL
# when the call is entered, so it does not happen any more), or lets it fail.
#
# A point is (role of the thread, call, target, how many before it): names of
# an upload are replaced by words, so that the same point is found in another
# run.  Which one a run has hit is read from that run's own trace: what was
# missed is tried again, and the test counts what was hit, not what was tried.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Cwd qw(abs_path);
use Digest::SHA qw(sha256_hex);
use Exporter 'import';
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

use Exam;
use Exam::Wire;
use Spool ();

our @EXPORT = qw(
    aim all_answered all_events answered attach audit body detach drained
    events_of files_below hit kill_nginx more need_strace nginx points post
    put servers sighted start_worker steps stored threads upload_of wait_for
);

our ($Nginx, $Exam) = (undef, '30');

# what a call waits for or asks of the kernel touches nothing
my $calls = '%file,%desc,%network';
my %waits = map { $_ => 1 } qw(
    epoll_ctl epoll_wait epoll_pwait poll ppoll select ioctl getsockopt
    setsockopt getsockname shutdown socket connect accept4 futex getdents64
    lseek mmap statfs readlink stat access
);

BEGIN { *wait_for = \&Exam::Process::wait_for }


# Skips the test where a process cannot be traced.

sub need_strace {
    my $flavour = $ENV{EXAM_FLAVOUR} // 'static';

    Test::More::plan(skip_all => 'a sanitizer does not bear being traced:'
                     . ' LeakSanitizer is a tracer itself')
        if $flavour =~ /asan/;
    Test::More::plan(skip_all => 'one flavour is enough')
        if $flavour ne 'static';

    my ($rc, $out, $err) = eval { Exam::run(qw(strace -f -o /dev/null true)) };

    Test::More::plan(skip_all => 'strace cannot trace here: '
                     . (($err // '') =~ s/\n.*//sr || 'not installed'))
        if $@ || $rc != 0;
}


# The long run: ./build.sh test fault.

sub more { return $ENV{EXAM_FAULT} }


# ---- the stack

sub servers {
    $Spool::Redis = Exam::redis();
    $Spool::Mysql = Exam::mysql();
    Spool::tables($Spool::Mysql);
    Spool::ini_with(worker => { verify => 'all', probe => 'off',
                                 threads => 1 });
    Exam::load_exam($Exam);
}


# One process, one upload thread: the order of calls is the same each time.

sub nginx {
    my (%opt) = @_;

    my $lines = delete $opt{lines} // {};

    $Nginx = Exam::server(threads => 1, http => Exam::http_lines(
        exam_flush_interval => '10s', %$lines), %opt);
    Exam::allow_errors(qr/worker process \d+ exited on signal 9/,
                       qr/exam \w+\(\w*\) for upload "t1-\w+" failed/,
                       qr/exam \w+\(\) of ".*" in the spool failed/,
                       qr/exam \w+\(\) in the journal failed/,
                       qr/exam spool is full, the journal's reserve is in/);

    answered();
    return $Nginx;
}


# The worker process that has found Redis; after a crash the master makes a new
# one.

sub answered {
    my ($old) = @_;

    my $pid;

    wait_for {
        ($pid) = $Nginx->workers;
        return $pid && $pid != ($old // 0)
            && Exam::slurp($Nginx->{error_log})
               =~ / \Q$pid\E#\Q$pid\E: exam redis .* connected/;
    } 20 or die "no worker process finds Redis\n";

    idle($pid);
    return $pid;
}


# What it asks Redis first, and its scan of the spool, are not what is being
# looked at: its threads wait for work, system call futex, for a while.

sub idle {
    my ($pid) = @_;

    my $idle = 0;

    wait_for {
        my (undef, @threads) = threads($pid);

        my @busy = grep { Exam::slurp("/proc/$pid/task/$_/syscall")
                          !~ /^202 / } @threads;

        $idle = @threads && !@busy ? $idle + 1 : 0;
        return $idle >= 3;
    } 5;
}


# The same of all worker processes, none of which is one of the old ones.

sub all_answered {
    my ($count, @old) = @_;

    my %old = map { $_ => 1 } @old;
    my @pids;

    wait_for {
        my $log = Exam::slurp($Nginx->{error_log});

        @pids = sort { $a <=> $b } grep { !$old{$_} } $Nginx->workers;
        return @pids == $count
            && !grep { $log !~ / $_#$_: exam redis .* connected/ } @pids;
    } 20 or die "not $count worker processes find Redis\n";

    idle($_) for @pids;
    return @pids;
}


# Master and workers at once: these would go on without it.

sub kill_nginx {
    my @workers = $Nginx->workers;

    kill 'KILL', @workers;
    $Nginx->stop('KILL');
    # who buries them takes his time
    wait_for { !grep { Spool::proc_state($_) =~ /[^Z]/ } @workers } 5;
}


# One thread in its pool, for the same reason.

sub start_worker {
    Spool::start_worker(@_);

    # the scan of the start is over when it waits for the doorbell
    wait_for { Spool::redis('CLIENT', 'LIST') =~ /flags=b.*cmd=xreadgroup/ } 20
        or die "the worker does not wait for the doorbell\n";
    return $Spool::Worker->pid;
}


# The threads of a process in the order in which they were made: the main thread
# is the first.

sub threads {
    my ($pid) = @_;

    my @tids = sort { $a <=> $b } map { s{.*/}{}r } glob "/proc/$pid/task/*";
    return @tids;
}


# ---- uploads

# A student of its own for each run: its folders are made, its number is 0.

my $serial = 0;

sub upload_of {
    my (%opt) = @_;

    my $student = sprintf 'S%04d', ++$serial;
    my $data = $opt{data} // body($serial, $opt{size} // 300_000);

    return { %opt, student => $student, n => 0, data => $data,
             sid => Exam::sid($Exam, $student),
             sha256 => sha256_hex($data), gen => 1000 };
}


sub body {
    my ($seed, $size) = @_;

    my $block = join '', map { pack 'N', $_ * 2654435761 + $seed * 40503 & ~0 }
                         0 .. 4095;
    return substr $block x ($size / length($block) + 1), 0, $size;
}


# The answer, undef when there is none.

sub put {
    my ($u, %opt) = @_;

    my $token = $u->{token} //= Exam::token(
        exam => $Exam, student => $u->{student}, gen => $u->{gen});
    my $res = eval {
        my $c = Exam::Wire->new($Nginx);

        $c->head(PUT => "/api/v1/recordings/screen/$u->{n}", [
            'Content-Type' => 'video/webm', Authorization => "Bearer $token",
            $opt{chunked} ? ('Transfer-Encoding' => 'chunked')
                          : ('Content-Length' => length $u->{data}),
        ]);

        if ($opt{chunked}) {
            $c->chunk($u->{data});
            $c->send("0\r\n\r\n");
        } else {
            $c->send($u->{data});
        }

        $c->response;
    };

    if ($res && ($res->{status} == 201 || $res->{status} == 200)) {
        $u->{acked} = $res->{status};
        $u->{id} = $res->{json}{id};
    }

    return $res;
}


# Three events of the same student: the answer, undef when there is none.

sub post {
    my ($u) = @_;

    my $token = $u->{token} //= Exam::token(
        exam => $Exam, student => $u->{student}, gen => $u->{gen});
    my $body = sprintf '{"events":[%s]}', join ',', map {
        qq({"id":"$u->{student}-$_","type":"focus","data":{"n":$_}})
    } 1 .. 3;
    my $res = eval {
        my $c = Exam::Wire->new($Nginx);

        $c->head(POST => '/api/v1/events', [
            'Content-Type' => 'application/json',
            Authorization => "Bearer $token",
            'Content-Length' => length $body ]);
        $c->send($body);
        $c->response;
    };

    $u->{acked} = 202 if $res && $res->{status} == 202;
    return $res;
}


# The events of a student in the table; three when all are there.

sub events_of {
    my ($u) = @_;

    my @rows = $Spool::Mysql->sql('SELECT event FROM events'
        . " WHERE student = '$u->{student}' ORDER BY event");
    return join ' ', map { $_->[0] } @rows;
}


sub all_events { return join ' ', map { "$_[0]{student}-$_" } 1 .. 3 }


sub files_below {
    my ($folder, $pattern) = @_;

    my @found;
    my @folders = ($folder);

    while (defined(my $at = shift @folders)) {
        opendir my $dh, $at or next;

        for my $name (grep !/^\.\.?$/, readdir $dh) {
            push @folders, "$at/$name" if -d "$at/$name";
            push @found, "$at/$name" if -f "$at/$name"
                                        && $name =~ $pattern;
        }
    }

    @found = sort @found;
    return @found;
}


# Nothing of an upload is left in the spool.  A manifest only moves forward:
# looked at in this order, one that moves meanwhile is met.

sub drained {
    my ($seconds) = @_;

    my $spool = Exam::spool();

    return wait_for {
        !grep { files_below("$spool/$_", qr/\.(?:part|rec|info|tmp)$/) }
              qw(part ready work);
    } $seconds // 20;
}


# '' when the upload is stored once, whole; else what is wrong.

sub stored {
    my ($u, @rows) = @_;

    @rows = $Spool::Mysql->sql(
        'SELECT upload_id, LOWER(HEX(sha256)), bytes, path FROM recordings'
        . " WHERE student = '$u->{student}'") unless @rows;

    return 'no row' unless @rows;
    return scalar(@rows) . ' rows' if @rows > 1;

    my (undef, $sha256, $bytes, $path) = @{ $rows[0] };
    my $folder = Exam::recordings() . "/$Exam/$u->{student}";
    my @files = grep !/\.json$/, files_below($folder, qr/./);

    return 'row of another content' if $sha256 ne $u->{sha256};
    return "files @files" if "@files" ne Exam::recordings() . "/$path";
    return 'file of another content'
        if sha256_hex(Exam::slurp($files[0])) ne $sha256;
    return 'no side-car' unless -s "$files[0].json";

    return '';
}


# All uploads at once: what is wrong as a list, with one query.

sub audit {
    my (@uploads) = @_;

    my (%rows, @bad);

    for my $row ($Spool::Mysql->sql('SELECT student, upload_id,'
                 . ' LOWER(HEX(sha256)), bytes, path FROM recordings'))
    {
        my ($student, @row) = @$row;
        push @{ $rows{$student} }, \@row;
    }

    for my $u (@uploads) {
        my $rows = delete $rows{$u->{student}} // [];
        my $wrong = @$rows ? stored($u, @$rows) : 'no row';

        push @bad, "$u->{student} ($u->{what}): $wrong" if $wrong;
    }

    push @bad, "row of unknown $_" for sort keys %rows;

    # and no file without a row
    my @files = grep !/\.json$/, files_below(Exam::recordings(), qr/./);
    push @bad, @files . ' files, ' . @uploads . ' uploads'
        if @files != @uploads;

    return @bad;
}


# ---- strace

# Attaches to threads: pids => [...], follow => 1 all threads of them, inject =>
# ["CALL:..."], path => what only is looked at.  Returns when it has attached.

sub attach {
    my (%opt) = @_;

    my $log = Exam::dir() . '/strace.' . ++$serial;
    my @cmd = ('strace', '-yy', '-s', $opt{size} // 32, '-o', $log,
               '-e', 'trace=' . ($opt{calls} // $calls), '-e', 'signal=none');

    push @cmd, '-f' if $opt{follow};
    push @cmd, '-xx' if $opt{hex};
    push @cmd, '-e', "inject=$_" for @{ $opt{inject} // [] };
    push @cmd, '-P', $_ for @{ $opt{path} // [] };
    push @cmd, '-p', $_ for @{ $opt{pids} };

    my %sockets;

    for my $line (split /\n/, Exam::slurp('/proc/net/unix')) {
        my @f = split ' ', $line;
        $sockets{$f[6]} = $f[7] if @f > 7;
    }

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDERR, '>', "$log.err";
        exec @cmd or POSIX::_exit(127);
    }

    my @threads = map { $opt{follow} ? map { s{.*/}{}r } glob "/proc/$_/task/*"
                                     : $_ } @{ $opt{pids} };

    my $ended = 0;
    my $seized = wait_for {
        $ended = waitpid($pid, WNOHANG) != 0 and return 1;
        return !grep { Exam::slurp("/proc/$_/status") !~ /^TracerPid:\t$pid$/m }
                @threads;
    } 10;

    # a process may be killed as soon as it is attached to
    die "strace does not attach: " . Exam::slurp("$log.err") . "\n"
        if !$seized || $ended && !-s $log;

    return { pid => $pid, log => $log, sockets => \%sockets,
             threads => \@threads, ended => $ended };
}


# Ends the trace, of a dead process too.

sub detach {
    my ($t) = @_;

    kill 'TERM', $t->{pid} unless $t->{ended};
    waitpid $t->{pid}, 0 unless $t->{ended};
    $t->{ended} = 1;
    return $t;
}


# The calls of a trace in the order in which they were entered: tid, call, args,
# result (undef: never left), names (normalised), path (as a filter takes it),
# target; `enter` and `leave` are line numbers.

sub calls {
    my ($t, $u) = @_;

    my (@calls, %open);
    my $at = 0;

    delete $t->{said};

    for my $line (split /\n/, Exam::slurp($t->{log})) {
        $at++;
        my ($tid, $text) = $line =~ /^(?:(\d+)\s+)?(.*)$/;
        $tid //= $t->{threads}[0];

        if ($text =~ /^<\.\.\. \w+ resumed>(.*)$/) {
            my $call = delete $open{$tid} or next;

            $call->{args} .= $1;
            _result($call, $at);
            next;
        }

        $text =~ /^(\w+)\((.*)$/ or next;

        my $call = { tid => $tid, call => $1, args => $2, enter => $at };

        if ($call->{args} =~ s/ ?<unfinished \.\.\.>$//) {
            $open{$tid} = $call;
        } else {
            _result($call, $at);
        }

        $call->{target} = _target($t, $call, $u);
        push @calls, $call;
    }

    return @calls;
}


# A call that was killed has the result "?".

sub _result {
    my ($call, $at) = @_;

    $call->{injected} = $call->{args} =~ /\(INJECTED\)$/;
    $call->{args} =~ /^(.*)\)[ ]+=[ ](\S+)(?:[ ](E[A-Z]+)?.*)?$/s or return;

    $call->{args} = $1;
    return if $2 eq '?';
    @$call{qw(result error leave)} = ($2, $3, $at);
}


# What the call touches: client, redis, mysql, or a path in spool and store with
# the names of the upload taken out; '' for anything else.

sub _target {
    my ($t, $call, $u) = @_;

    return '' if $waits{$call->{call}};

    my ($spool, $store) = map { abs_path($_) } Exam::spool(),
                                               Exam::recordings();
    my $args = $call->{args};
    my $at = $call->{call} =~ /at\d*$/;
    my ($fd, $name);

    if ($args =~ /^(?:\d+|AT_FDCWD)<((?:TCP|UNIX)[^\]]*\]|[^>]*)>
                  (?:,[ ]"([^"]*)")?/x)
    {
        ($fd, $name) = ($1, $2);
        undef $name unless $at && length($name // '');

    } elsif ($args =~ /^"([^"]*)"/) {
        ($fd, $name) = ('', $1);

    } else {
        return '';
    }

    if ($fd =~ /^(?:TCP|UNIX)/ && !defined $name) {
        return 'client' if $fd =~ /^TCP.*:$Nginx->{port}->/;

        my ($peer) = $fd =~ /->(\d+)/;
        my $server = $t->{sockets}{$peer // ''} // '';

        return 'redis' if $server =~ m{/redis/s$};
        return '' if $server !~ m{/mysql/s$};

        # which statement, or the answer to which; "DO 1" is a ping
        my $said = \$t->{said}{$call->{tid}};

        $$said = $args =~ /, "(?:\\\d+|\\?.){4}\\(?:3|26)([A-Z]+)\b/
            ? $1 : 'EXECUTE' if $call->{call} eq 'sendto';
        return $$said && $$said ne 'DO' ? "mysql $$said" : '';
    }

    my $path = defined $name && $name !~ m{^/} ? "$fd/$name" : $name // $fd;

    return '' unless $path =~ m{^(?:\Q$spool\E|\Q$store\E)(?:/|$)};

    $call->{path} = $name // $fd;
    return names($path, $u) =~ s{/\.$}{}r;
}


sub names {
    my ($text, $u) = @_;

    my ($spool, $store) = map { abs_path($_) } Exam::spool(),
                                               Exam::recordings();

    $text =~ s/^\Q$spool\E/SPOOL/;
    $text =~ s/^\Q$store\E/STORE/;
    $text =~ s{\bpart/[0-9a-f]{2}\b}{part/XX}g;
    $text =~ s/t1-[0-9a-f]{32}/UPLOAD/g;
    $text =~ s{journal/[0-9a-f-]{36}-\d+-\d+\.log}{journal/LOG};

    if ($u) {
        $text =~ s/\Q$u->{sid}\E/SID/g;
        $text =~ s/\Q$u->{student}\E/STUDENT/g;
    }

    return $text;
}


# The points of a trace.  since: a pattern of the target with which they begin;
# until: a function that is true for the first call behind them; role: one that
# names a call's thread, or '' for a call that is no point.  Each has id, tid,
# call, target, path, nth (of that call in that thread), of (occurrence on the
# target).

sub points {
    my ($t, $u, %opt) = @_;

    my (%nth, %of, @points);
    my $begun = !$opt{since};

    for my $c (calls($t, $u)) {
        my $nth = ++$nth{$c->{tid}, $c->{call}};

        $begun ||= $c->{target} =~ $opt{since};
        last if $begun && $opt{until} && $opt{until}->($c);
        next if !$begun || $c->{target} eq '';

        my $role = $opt{role} ? $opt{role}->($c) : 'main';
        next unless $role;

        # in how many pieces a body or an answer of MySQL comes is chance
        my $id = "$role $c->{call} $c->{target}";
        my $of = $c->{call} ne 'recvfrom' ? ++$of{$id}
            : $of{"$role sendto $c->{target}"} // 1;

        push @points, { %$c, id => "$id #$of", role => $role, nth => $nth,
                        of => $of };
    }

    return @points;
}


# Of two traces, the first point of each step, in order.  What stands in one of
# them only is a timer's work, or something that a process does once.

sub steps {
    my ($one, $other) = @_;

    my %known = map { $_->{id} => 1 } @$one;
    return grep { delete $known{$_->{id}} } @$other;
}


# Where a point lies among the calls of its name is not the same in each run:
# an answer that is not there yet costs one recvfrom more, a timer a write.
# What the runs show is counted: nth of each point, how often.  One that was
# aimed at nth and shows nothing of its point ended before it.

sub sighted {
    my ($seen, $points, $id, $nth) = @_;

    $seen->{$_->{id}}{$_->{nth}}++ for @$points;
    $seen->{$id}{$nth + 1}++
        if defined $id && !grep { $_->{id} eq $id } @$points;
}


# The nth to take next: seen most often for each time that it was taken.

sub aim {
    my ($seen, $id, $taken) = @_;

    my $at = $seen->{$id};
    my ($nth) = sort {
        $at->{$b} / (1 + ($taken->{$b} // 0))
            <=> $at->{$a} / (1 + ($taken->{$a} // 0)) || $a <=> $b
    } keys %$at;

    $taken->{$nth}++;
    return $nth;
}


# Which point ended the process: the last call that was entered and not left.

sub hit {
    my (@points) = @_;

    my ($last) = grep { !defined $_->{result} } reverse @points;
    return $last;
}


1;
