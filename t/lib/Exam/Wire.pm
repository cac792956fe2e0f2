package Exam::Wire;

# One connection to nginx whose bytes the test decides: bodies in pieces, wrong
# lengths, clients that leave.  HTTP::Tiny can do none of that.
#
#   my $c = Exam::Wire->new($server);
#   $c->head(PUT => '/path', [Header => 'value', ...]);
#   $c->send($bytes);
#   my $res = $c->response;     # status, headers, body, continued, interim

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time);


sub new {
    my ($class, $server) = @_;

    my $sock = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $server->{port})
        or die "cannot connect to nginx: $!\n";

    $sock->autoflush(1);
    return bless { sock => $sock, in => '' }, $class;
}


# The request line and the header fields, in the order given.

sub head {
    my ($self, $method, $path, $fields, $version) = @_;

    my @fields = (Host => 'localhost', @{ $fields // [] });
    my $text = "$method $path HTTP/" . ($version // '1.1') . "\r\n";

    while (my ($name, $value) = splice @fields, 0, 2) {
        $text .= "$name: $value\r\n";
    }

    return $self->send("$text\r\n");
}


# False when the server has closed the connection.

sub send {
    my ($self, $data) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $data) {
        my $n = $self->{sock}->syswrite($data) // return 0;
        substr $data, 0, $n, '';
    }

    return 1;
}


sub chunk {
    my ($self, $data) = @_;

    return $self->send(sprintf "%x\r\n%s\r\n", length $data, $data);
}


# More bytes into the buffer; false at the end of the connection.

sub _more {
    my ($self, $until) = @_;

    my $left = $until - time;

    die "no answer in time\n"
        if $left <= 0 || !IO::Select->new($self->{sock})->can_read($left);

    return $self->{sock}->sysread($self->{in}, 65536, length $self->{in});
}


# The next answer, to a HEAD with head => 1; those with 100 before it are
# counted in `continued`, other interim ones are in `interim`.  undef when the
# connection ended instead.  With interim => 1 the next one of any kind.

sub response {
    my ($self, %opt) = @_;

    my $until = time + 60;
    my $continued = 0;
    my @interim;
    my %res;

    for (;;) {
        until ($self->{in} =~ /\r\n\r\n/) {
            $self->_more($until) or return undef;
        }

        my ($head) = $self->{in} =~ /\A(.*?\r\n)\r\n/s;
        substr $self->{in}, 0, length($head) + 2, '';

        my ($line, @lines) = split /\r\n/, $head;
        @res{qw(status reason)} = $line =~ m{\AHTTP/1\.1 (\d+) ?(.*)};
        $res{headers} = { map { /^([^:]+): *(.*)$/ ? (lc $1, $2) : () }
                              @lines };

        last if $res{status} >= 200;
        return { %res } if $opt{interim};

        if ($res{status} == 100) {
            $continued++;

        } else {
            push @interim, { %res };
        }
    }

    my $length = $opt{head} ? 0 : $res{headers}{'content-length'} // 0;

    while (length $self->{in} < $length) {
        $self->_more($until) or return undef;
    }

    $res{body} = substr $self->{in}, 0, $length, '';
    $res{json} = eval { JSON::PP->new->utf8->decode($res{body}) };
    $res{code} = ref $res{json} eq 'HASH' ? $res{json}{code} : undef;
    $res{continued} = $continued;
    $res{interim} = \@interim;

    return \%res;
}


# Does the server close?  (bytes that still come are dropped)

sub closed {
    my ($self, $timeout) = @_;

    my $until = time + ($timeout // 10);

    for (;;) {
        $self->{in} = '';
        my $n = eval { $self->_more($until) };
        return 0 if $@;
        return 1 if !$n;
    }
}


sub close {
    my ($self) = @_;

    $self->{sock}->close;
}


1;
