# The probe: a confined child that may crash and hang.  Whatever happens to it,
# the file is stored.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Test::More;
use Time::HiRes qw(time);
use Spool;

stack();

# descriptors that the worker inherits from whoever starts it
$^F = 100;
my @foreign = map { open my $fh, '<', '/etc/passwd' or die; $fh } 1 .. 3;

start_worker();

my $data = media('webm');

ok((wait_for { child() }), 'the probe stands ready before the first file');
ok(settled(offer(data => $data, n => 0)), 'it probes a file');


# ---- its fence

{
    my $pid = child();
    my $limits = Exam::Process::slurp("/proc/$pid/limits");
    my $status = Exam::Process::slurp("/proc/$pid/status");

    like($limits, qr/^Max file size\s+0\s+0\s/m, 'it cannot write files');
    like($limits, qr/^Max open files\s+8\s+8\s/m, 'nor open many');
    like($limits, qr/^Max cpu time\s+\d+\s/m, 'its CPU time is limited');

    SKIP: {
        skip 'sanitizers need the address space', 1
            if qx(nm -D '@{[ Exam::bin('exam-worker') ]}' 2>/dev/null)
               =~ /__asan_init/;
        like($limits, qr/^Max address space\s+1073741824\s/m,
             'so is its memory');
    }

    like($status, qr/^NoNewPrivs:\s+1$/m, 'it gets no privileges');
    like($status, qr/^Seccomp:\s+2$/m, 'its system calls are filtered');

    SKIP: {
        skip 'only as root', 2 if $> != 0;
        like($status, qr/^Uid:\s+65534\s+65534\s+65534/m, 'it is nobody');
        isnt(readlink "/proc/$pid/ns/net", readlink '/proc/self/ns/net',
             'it has a network of its own');
    }

    my %files = map { $_ => readlink "/proc/$pid/fd/$_" }
                files("/proc/$pid/fd");
    is_deeply([sort keys %files], [0 .. 3], 'it holds four descriptors');
    like($files{3}, qr/^socket:/, 'a socket to the worker');
    is($files{$_}, '/dev/null', "and nothing at $_") for 0, 1;
    is(readlink "/proc/$pid/cwd", '/', 'it stands in the root folder');
}


# ---- killed between two files

{
    my $old = child();

    kill 'KILL', $old;
    ok((wait_for { proc_state($old) =~ /^Z?$/ }), 'the probe is killed');

    my $m = offer(data => $data, n => 1);
    ok(settled($m), 'the next file');
    is(row($m)->{playable}, 1, 'is probed by a new one');
    isnt(child(), $old, 'indeed');
}


# ---- hangs

{
    my $old = child();

    kill 'STOP', $old;
    ok((wait_for { proc_state($old) eq 'T' }), 'the probe is stopped');

    my $start = time;
    my $m = offer(data => $data, n => 2);

    ok(settled($m, 20), 'a file that hangs the probe is stored');
    cmp_ok(time - $start, '<', 10, 'within bounds');
    is(row($m)->{playable}, 0, 'as not playable');
    is(row($m)->{reason}, 'probe_timeout', 'with the reason');
    ok((wait_for { proc_state($old) eq '' }), 'the probe was killed');

    my $n = offer(data => $data, n => 3);
    ok(settled($n), 'the next file');
    is(row($n)->{playable}, 1, 'is probed again');
}


# ---- crashes with a file in its hands

{
    my $old = child();
    my $main = $Spool::Worker->pid;

    kill 'STOP', $old;
    wait_for { proc_state($old) eq 'T' };

    my $m = offer(data => $data, n => 4);

    # in poll(2) or ppoll(2) with the upload claimed: it waits for the probe
    wait_for {
        -e Exam::spool() . "/work/$m->{id}.info"
            && Exam::Process::slurp("/proc/$main/syscall") =~ /^(?:7|73|271) /
    };

    kill 'KILL', $old;

    ok(settled($m, 5), 'a file that ends the probe is stored');
    is(row($m)->{playable}, 0, 'as not playable');
    is(row($m)->{reason}, 'probe_crashed', 'with the reason');

    my $n = offer(data => $data, n => 5);
    ok(settled($n), 'the next file');
    is(row($n)->{playable}, 1, 'is probed again');
}


# ---- the worker's end is the probe's end

{
    my $pid = child();

    # stopped, it cannot see the socket's end: the kernel has to do it
    kill 'STOP', $pid;
    wait_for { proc_state($pid) eq 'T' };

    stop_worker('KILL');
    ok((wait_for { proc_state($pid) =~ /^Z?$/ }), 'it dies with the worker');

    start_worker();
    wait_for { child() };
    $pid = child();
    is(stop_worker(), 0, 'the worker leaves');
    is(proc_state($pid), '', 'and has seen the probe off');
}


# ---- off

{
    ini_with(worker => { probe => 'off' });
    start_worker();

    my $m = offer(data => $data, n => 6);
    ok(settled($m), 'without probing');
    is(row($m)->{playable}, undef, 'nothing is known');
    is(row($m)->{video_codec}, undef, 'not even the codec');
    is(child(), undef, 'there is no probe');
    stop_worker();
}

done_testing();
