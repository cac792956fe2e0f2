package Proxy;

# The network between a client and nginx, as the test wants it.
#
#   my $net = Proxy->new($nginx);            # or tls => 'second', its second
#                                           # port; 'first': that is TLS
#   $net->hold(3_000_000);      # passes on so many bytes to nginx, then waits
#   $net->held;                 # true once they are all passed on
#   $net->free;                 # goes on
#   $net->cut;                  # all connections break; nginx gets what came
#   $net->down; $net->up;       # they break, and new ones, too
#   $net->freeze;               # they hang for ever; new ones do not
#   $net->to($pid);             # this worker process is to take new ones
#   $net->holders;              # the pids that have a connection from here
#
# Nothing here depends on time: hold() stops a client in the middle of its
# body, whatever the speed of the machine.

use strict;
use warnings;

use parent -norequire, 'Peer';

use Exporter 'import';

use Exam;
use Peer;

our @EXPORT_OK = qw(children holder);


sub new {
    my ($class, $nginx, %opt) = @_;

    my $tls = $opt{tls} // '';
    my $at = $tls eq 'second' ? $nginx->{second} : $nginx->{port};
    my $scheme = $tls ? 'https' : 'http';
    my $self = $class->SUPER::new('proxy', $^X,
        "$Exam::Process::Root/t/clients/proxy.pl", $at);

    @$self{qw(nginx at)} = ($nginx, $at);
    $self->{port} = $self->listen->{port};
    $self->{url} = "$scheme://127.0.0.1:$self->{port}";

    return $self;
}


sub url { return $_[0]{url} }
sub port { return $_[0]{port} }

sub hold { return $_[0]->_ask(hold => 0 + $_[1]) }
sub free { return $_[0]->_ask('free') }
sub cut { return $_[0]->_ask('cut') }
sub down { return $_[0]->_ask('down') }
sub up { return $_[0]->_ask('up') }
sub freeze { return $_[0]->_ask('freeze') }
sub state { return $_[0]->_ask('state') }


sub held {
    my ($self, $seconds) = @_;

    return Exam::wait_for { ($self->state->{left} // 1) == 0 } $seconds // 30;
}


# Without a pid: whoever takes it.

sub to {
    my ($self, $pid) = @_;

    return $self->_ask(to => $pid
        ? ($pid, grep { $_ != $pid } children($self->{nginx})) : ());
}


# Waits for a connection that nginx has taken.

sub holders {
    my ($self) = @_;

    my @pids;

    Exam::wait_for {
        my %pids = map { $_ => 1 } grep { $_ }
            map { holder($self->{at}, $_, children($self->{nginx})) }
            @{ $self->state->{ports} };
        return @pids = sort keys %pids;
    };

    return @pids;
}


sub _ask {
    my ($self, @words) = @_;

    $self->tell(words => \@words);
    return $self->listen;
}


# ---- who has a connection

# All processes of nginx's master, those on their way out, too.

sub children {
    my ($nginx) = @_;

    my $pid = $nginx->{pid} // return;
    return split ' ', Exam::slurp("/proc/$pid/task/$pid/children");
}


# The one of the pids that has the connection of a client's port to nginx's;
# nothing as long as none has accepted it.

sub holder {
    my ($server, $client, @pids) = @_;

    my $ends = sprintf '0100007F:%04X 0100007F:%04X 01', $server, $client;
    my ($inode) = Exam::Process::slurp('/proc/net/tcp')
        =~ /^ *\d+: $ends \S+ \S+ \S+ +\d+ +\d+ (\d+)/m;

    return unless $inode;

    for my $pid (@pids) {
        for my $fd (glob "/proc/$pid/fd/*") {
            return $pid if (readlink $fd // '') eq "socket:[$inode]";
        }
    }

    return;
}


1;
