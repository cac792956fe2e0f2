package Exam::Disk;

# A disk that does nothing for as long as a test wants: every write to a file
# and every sync of the servers started with it waits while the gate is shut.
#
#   my $disk = Exam::Disk->new;
#   my $server = $disk->with(sub { Exam::server(...) });
#   $disk->shut;                # from here on nothing is written
#   $disk->open;

use strict;
use warnings;

use Fcntl qw(:flock);

use Exam;


sub new {
    my ($class) = @_;

    my $self = bless { gate => Exam::dir() . '/gate',
                       library => Exam::dir() . '/slow_disk.so' }, $class;
    my ($rc, undef, $err) = Exam::run(split(/ /, $ENV{CC} // 'cc'),
        '-std=gnu11', '-O2', '-shared', '-fPIC', '-o', $self->{library},
        "$Exam::Process::Root/bench/slow_disk.c", '-ldl');

    die "slow_disk.c does not compile: $err\n" if $rc != 0;

    Exam::spew($self->{gate}, '');
    CORE::open $self->{lock}, '<', $self->{gate} or die "gate: $!\n";

    return $self;
}


# Redis must run by then: its disk is another one.

sub with {
    my ($self, $start) = @_;

    local $ENV{LD_PRELOAD} = $self->{library};
    local $ENV{EXAM_DISK_GATE} = $self->{gate};
    local $ENV{ASAN_OPTIONS} = join ':', grep { defined }
        $ENV{ASAN_OPTIONS}, 'verify_asan_link_order=0';

    return $start->();
}


# Waits for what passes it at this moment.

sub shut {
    my ($self) = @_;
    flock $self->{lock}, LOCK_EX or die "gate: $!\n";
    return;
}


sub open {
    my ($self) = @_;
    flock $self->{lock}, LOCK_UN or die "gate: $!\n";
    return;
}


1;
