package Exam::Trace;

# strace on a process of nginx, for as long as a test wants: what it calls, in
# order, or what happens when a call fails or is slow.
#
#   my @lines = traced($pid, ['-e', 'trace=fsync'], sub { ... });
#   my $strace = trace_begin($pid, '-o', '/dev/null', ...);
#   trace_end($strace);
#   in_order(\@lines, ['it is synced', qr/fsync/], ...);

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use Test::More ();

use Exam;

our @EXPORT = qw(in_order trace_begin trace_end traced);

my $serial = 0;


# Follows all threads of the process; returns when it has them, undef where
# processes cannot be traced.

sub trace_begin {
    my ($pid, @args) = @_;

    my $log = Exam::dir() . '/strace.err';
    my $strace = fork // die "fork: $!\n";

    if ($strace == 0) {
        open STDERR, '>', $log;
        exec 'strace', '-f', @args, '-p', $pid or POSIX::_exit(127);
    }

    # every thread that is there now must have been taken
    my $attached = Exam::wait_for {
        return -1 if waitpid($strace, POSIX::WNOHANG()) != 0;
        return !grep { Exam::slurp($_) =~ /^TracerPid:\s+0$/m }
                     glob "/proc/$pid/task/*/status";
    };

    return $strace if $attached && $attached != -1;

    Test::More::diag(Exam::slurp($log));
    return;
}


sub trace_end {
    my ($strace) = @_;

    kill 'TERM', $strace;
    waitpid $strace, 0;
}


# The lines of strace while $code ran, which is given the file that they are
# written to; none where processes cannot be traced, and $code did not run.

sub traced {
    my ($pid, $args, $code) = @_;

    my $out = Exam::dir() . '/strace.' . ++$serial;
    my $strace = trace_begin($pid, '-y', '-s', 4096, '-o', $out, @$args)
        // return;

    $code->($out);
    trace_end($strace);

    return split /\n/, Exam::slurp($out);
}


# A test for each [name, pattern]: its line is behind that of the one before.

sub in_order {
    my ($lines, @calls) = @_;

    my $at = 0;

    for (@calls) {
        my ($what, $pattern) = @$_;
        my $found = 0;

        while ($at < @$lines) {
            $found = $lines->[$at++] =~ $pattern and last;
        }

        Test::More::ok($found, $what);
    }
}


1;
