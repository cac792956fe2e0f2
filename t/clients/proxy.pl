# The process behind lib/Proxy.pm: `proxy.pl PORT` passes on what comes to
# nginx at PORT.  It tells its own port, then answers each line with a line.

use strict;
use warnings;

use lib 't/lib', 't/clients/lib';

use Errno qw(EAGAIN EINTR);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);

use Exam::Process;
use Proxy qw(holder);

# what a system call takes at most, and what a direction keeps in memory
my $piece = 65536;

my ($at) = @ARGV;               # nginx's port
my $left;                       # bytes to pass on to nginx; undef: any number
my $passed = 0;
my $refuse = 0;
my @to;                         # who takes connections, who is to wait
my %conns;                      # socket -> connection
my @frozen;
my $said = '';

$SIG{PIPE} = 'IGNORE';
$| = 1;

my $listen = IO::Socket::INET->new(Listen => 64, Blocking => 0,
    LocalAddr => '127.0.0.1') or die "no port for the proxy: $!\n";

# or a whole file would fit between a client and the proxy
setsockopt $listen, SOL_SOCKET, SO_RCVBUF, pack 'i', 131072;

say_line({ port => $listen->sockport });

while (1) {
    my @read = grep { may_read($_) } values_of('client', 'server');
    my @write = grep { length ${ buffer($_) } } values_of('client', 'server');

    my ($r, $w) = IO::Select->select(
        IO::Select->new($listen, \*STDIN, @read),
        IO::Select->new(@write), undef, 5);

    for my $sock (@{ $r // [] }) {
        if ($sock == \*STDIN) {
            commands();
        } elsif ($sock == $listen) {
            take();
        } else {
            receive($sock);
        }
    }

    pass_on($_) for @{ $w // [] };
}


sub say_line { print JSON::PP->new->canonical->encode($_[0]), "\n" }


# Each connection once; the sockets of all.

sub connections {
    my %once = map { $_ => $_ } values %conns;
    return values %once;
}


sub values_of {
    my (@sides) = @_;
    return map { @$_{@sides} } connections();
}


sub is_client { return $_[0] == $conns{$_[0]}{client} }


# What is to be sent to that side.

sub buffer {
    my ($sock) = @_;
    return \$conns{$sock}{ is_client($sock) ? 'down' : 'up' };
}


sub may_read {
    my ($sock) = @_;

    my $c = $conns{$sock};

    return !$c->{server_end} && length $c->{down} < $piece
        unless is_client($sock);

    return !$c->{client_end} && length $c->{up} < $piece
           && (!defined $left || $left > 0);
}


sub take {
    my $client = $listen->accept or return;
    my $server = $refuse ? undef : reach();

    return break_off($client) unless $server;

    $_->blocking(0) for $client, $server;

    $conns{$client} = $conns{$server}
        = { client => $client, server => $server, up => '', down => '' };
}


# Of the worker processes only one runs while it takes the connection.

sub reach {
    my ($pid, @others) = @to;

    return to_nginx() unless $pid;

    kill 'STOP', @others;
    Exam::Process::wait_for { !grep { !stopped($_) } @others } 10;

    my $server;

    for (1 .. 5) {
        $server = to_nginx() or last;

        my $port = $server->sockport;

        last if Exam::Process::wait_for { holder($at, $port, $pid) } 2;
        undef $server;
    }

    kill 'CONT', @others;

    return $server;
}


sub to_nginx {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $at,
                                 Timeout => 5);
}


# Or gone.

sub stopped {
    my ($pid) = @_;

    return Exam::Process::slurp("/proc/$pid/stat") !~ /\) [^TtZX]/;
}


sub receive {
    my ($sock) = @_;

    my $c = $conns{$sock} or return;
    my $client = is_client($sock);
    my $max = $piece;

    if ($client && defined $left) {
        $max = $left if $left < $max;
        return if $max == 0;
    }

    my $n = $sock->sysread(my $data, $max);

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR;
        return drop($c);
    }

    if ($client) {
        $c->{up} .= $data;
        $left -= $n if defined $left;
        $passed += $n;
    } else {
        $c->{down} .= $data;
    }

    $c->{ $client ? 'client_end' : 'server_end' } = 1 if $n == 0;
    ended($c);
}


sub pass_on {
    my ($sock) = @_;

    my $c = $conns{$sock} or return;
    my $buffer = buffer($sock);
    my $n = $sock->syswrite($$buffer);

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR;
        return drop($c);
    }

    substr $$buffer, 0, $n, '';
    ended($c);
}


# nginx closes: the client reads the rest, then the end.  A client that leaves
# has no use for an answer.

sub ended {
    my ($c) = @_;

    drop($c) if $c->{client_end} && !length $c->{up}
                || $c->{server_end} && !length $c->{down};
}


# To nginx the end of the connection behind the last byte, to the client a
# reset, unless nginx was the one that closed.

sub drop {
    my ($c) = @_;

    delete @conns{@$c{qw(client server)}};

    $c->{server}->blocking(1);
    $c->{server}->syswrite($c->{up}) if length $c->{up};
    close $c->{server};

    return close $c->{client} if $c->{server_end};
    break_off($c->{client});
}


sub break_off {
    my ($sock) = @_;

    setsockopt $sock, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
    close $sock;
}


# The end of the commands is the end of the proxy.

sub commands {
    sysread(STDIN, $said, 4096, length $said) or exit 0;

    while ($said =~ s/\A(.*)\n//) {
        my $line = JSON::PP->new->decode($1);

        command(@{ $line->{words} });
        say_line({ left => $left, passed => $passed,
                   ports => [map { $_->sockport } values_of('server')],
                   frozen => [map { $_->{server}->sockport } @frozen] });
    }
}


sub command {
    my ($word, @args) = @_;

    if ($word eq 'hold') {
        $left = $args[0];

    } elsif ($word eq 'free') {
        undef $left;

    } elsif ($word eq 'cut' || $word eq 'down') {
        $refuse = 1 if $word eq 'down';
        drop($_) for connections();

    } elsif ($word eq 'up') {
        $refuse = 0;

    } elsif ($word eq 'freeze') {
        # neither read nor written nor closed
        push @frozen, connections();
        %conns = ();

    } elsif ($word eq 'to') {
        @to = @args;

    } elsif ($word ne 'state') {
        die "\"$word\" is no command\n";
    }
}
