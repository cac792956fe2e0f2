# The process behind lib/Relay.pm: `relay.pl PORT` passes on the datagrams that
# come for nginx at PORT.  It tells its own port, then answers each line with a
# line.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();

my ($at) = @ARGV;
my $left;                       # bytes to pass on to nginx; undef: any number
my @held;                       # what waits: [whose, datagram]
my %servers;                    # a client's address -> its socket to nginx
my %clients;                    # and back
my $said = '';

$| = 1;

my $listen = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1',
    LocalPort => 0) or die "no port for the relay: $!\n";
my $select = IO::Select->new($listen, \*STDIN);

say_line({ port => $listen->sockport });

while (1) {
    for my $sock ($select->can_read) {
        if ($sock == \*STDIN) {
            commands();
        } elsif ($sock == $listen) {
            from_client();
        } elsif (defined recv $sock, my $data, 65536, 0) {
            send $listen, $data, 0, $clients{$sock};
        }
    }
}


sub say_line { print JSON::PP->new->canonical->encode($_[0]), "\n" }


sub from_client {
    my $from = recv $listen, my $data, 65536, 0;

    return unless defined $from;

    unless ($servers{$from}) {
        my $server = IO::Socket::INET->new(Proto => 'udp',
            PeerAddr => '127.0.0.1', PeerPort => $at) or die "socket: $!\n";

        $select->add($servers{$from} = $server);
        $clients{$server} = $from;
    }

    return push @held, [$from, $data] if defined $left && $left == 0;

    $left = $left > length $data ? $left - length $data : 0 if defined $left;
    send $servers{$from}, $data, 0;
}


# The end of the commands is the end of the relay.

sub commands {
    sysread(STDIN, $said, 4096, length $said) or exit 0;

    while ($said =~ s/\A(.*)\n//) {
        my ($word, @args) = @{ JSON::PP->new->decode($1)->{words} };

        if ($word eq 'hold') {
            $left = $args[0];

        } elsif ($word eq 'free') {
            undef $left;
            send $servers{ $_->[0] }, $_->[1], 0 for splice @held;
        }

        say_line({ left => $left });
    }
}
