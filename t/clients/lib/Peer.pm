package Peer;

# A process that the test talks with: it is told something in a line of JSON,
# and tells what happens in lines of JSON.  It ends when the test does.

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(time);

use Exam;
use Exam::Process;

my $main_pid = $$;
my $count = 0;
my @all;


# What it says on stderr goes into a file, to be shown if the test fails.

sub new {
    my ($class, $name, @cmd) = @_;

    pipe my $in, my $to or die "pipe: $!\n";
    pipe my $from, my $out or die "pipe: $!\n";

    my $log = Exam::dir() . "/$name-" . ++$count . '.stderr';
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        open STDIN, '<&', $in;
        open STDOUT, '>&', $out;
        open STDERR, '>', $log;
        exec 'setpriv', '--pdeathsig', 'TERM', @cmd or POSIX::_exit(127);
    }

    $to->autoflush(1);

    my $self = bless { name => $name, pid => $pid, to => $to, from => $from,
                       log => $log, buffer => '' }, $class;

    push @all, $self;
    return $self;
}


sub pid { return $_[0]{pid} }


sub tell {
    my ($self, %what) = @_;

    local $SIG{PIPE} = 'IGNORE';

    print { $self->{to} } JSON::PP->new->canonical->encode(\%what), "\n";
}


# The next thing it tells; dies when it tells nothing for so long, or has
# ended.

sub listen {
    my ($self, $seconds) = @_;

    my $end = time + ($seconds // 30);

    until ($self->{buffer} =~ /\n/) {
        my $left = $end - time;

        die "$self->{name} is silent\n"
            if $left <= 0 || !IO::Select->new($self->{from})->can_read($left);

        $self->{from}->sysread($self->{buffer}, 65536, length $self->{buffer})
            or die "$self->{name} has ended: " . $self->said . "\n";
    }

    $self->{buffer} =~ s/\A(.*)\n// or die;
    return JSON::PP->new->utf8->decode($1);
}


# Is something there to listen to?

sub talks {
    my ($self) = @_;

    return $self->{buffer} =~ /\n/
           || IO::Select->new($self->{from})->can_read(0);
}


sub said { return Exam::slurp($_[0]{log}) }


# Its input ends, which tells it to leave; returns the wait status.

sub stop {
    my ($self, $seconds) = @_;

    my $pid = delete $self->{pid} or return;

    close $self->{to};

    Exam::wait_for { waitpid($pid, POSIX::WNOHANG()) == $pid } $seconds // 10
        and return $?;

    kill 'KILL', $pid;
    waitpid $pid, 0;
    return;
}


END {
    if ($$ == $main_pid) {
        local $?;
        $_->stop for @all;
    }
}


1;
