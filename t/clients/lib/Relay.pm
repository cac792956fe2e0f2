package Relay;

# The network between a client and nginx as Proxy is it, for datagrams: hold()
# counts their bytes, and what comes then waits for free().

use strict;
use warnings;

use parent -norequire, 'Proxy';

use Exam;
use Peer;
use Proxy qw(children);


sub new {
    my ($class, $nginx) = @_;

    my $self = $class->Peer::new('relay', $^X,
        "$Exam::Process::Root/t/clients/relay.pl", $nginx->{second});

    $self->{nginx} = $nginx;
    $self->{port} = $self->listen->{port};
    $self->{url} = "https://127.0.0.1:$self->{port}";

    return $self;
}


# The pids that have a part open: no socket tells of a connection.

sub holders {
    my ($self) = @_;

    my @pids;

    Exam::wait_for {
        @pids = grep { grep { (readlink $_ // '') =~ /\.part$/ }
                            glob "/proc/$_/fd/*" } children($self->{nginx});
    };

    return sort @pids;
}


1;
