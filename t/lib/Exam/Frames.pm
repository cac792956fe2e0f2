package Exam::Frames;

# One HTTP/2 connection without TLS whose frames the test decides: several
# streams, DATA that stops, windows that are watched, resets.  Of an answer's
# fields only the status is decoded; bodies are there in full.
#
#   my $c = Exam::Frames->new($server);
#   my $id = $c->head(PUT => '/path', [name => 'value', ...]);
#   $c->data($id, $bytes, 1);       # as the windows allow; 1: the end
#   my $res = $c->response($id);    # status, body, json, code, reset, interim

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Time::HiRes qw(time);

use constant {
    DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
    GOAWAY => 7, WINDOW_UPDATE => 8,

    END_STREAM => 1, ACK => 1, END_HEADERS => 4, PADDED => 8, PRIORITY => 32,

    INITIAL_WINDOW => 4, FRAME => 16384,

    NO_ERROR => 0, CANCEL => 8,
};

our @EXPORT_OK = qw(CANCEL NO_ERROR);

# the static table's entries whose name is :status
my %status = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
              14 => 500);


# Returns when the server's settings are known.

sub new {
    my ($class, $server) = @_;

    my $sock = IO::Socket::INET->new(
        PeerAddr => '127.0.0.1', PeerPort => $server->{port})
        or die "cannot connect to nginx: $!\n";

    $sock->autoflush(1);

    my $self = bless { sock => $sock, in => '', next => 1, window => 65535,
                       initial => undef, streams => {} }, $class;

    $self->_write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame(SETTINGS, 0, 0, '');
    $self->pump until defined $self->{initial};

    return $self;
}


# False when the server has closed the connection.

sub _write {
    my ($self, $data) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $data) {
        my $n = $self->{sock}->syswrite($data) // return 0;
        substr $data, 0, $n, '';
    }

    return 1;
}


sub frame {
    my ($self, $type, $flags, $id, $payload) = @_;

    return $self->_write(substr(pack('N', length $payload), 1)
                         . pack('CCN', $type, $flags, $id) . $payload);
}


# A request's head, with end => 1 all of it; names of fields in lower case.
# Returns the stream's number.

sub head {
    my ($self, $method, $path, $fields, %opt) = @_;

    my $id = $self->{next};
    my $block = '';
    my @fields = (':method' => $method, ':scheme' => 'http', ':path' => $path,
                  ':authority' => 'localhost', @{ $fields // [] });

    $self->{next} += 2;
    $self->{streams}{$id} = { window => $self->{initial}, granted => 0,
                              body => '', interim => [] };

    while (my ($name, $value) = splice @fields, 0, 2) {
        $block .= "\0" . _string(lc $name) . _string($value);
    }

    $self->frame(HEADERS, END_HEADERS | ($opt{end} ? END_STREAM : 0), $id,
                 $block);
    return $id;
}


sub _string {
    my ($text) = @_;

    my $n = length $text;

    return chr($n) . $text if $n < 127;

    my $out = chr 127;

    for ($n -= 127; $n > 127; $n >>= 7) {
        $out .= chr($n & 127 | 128);
    }

    return $out . chr($n) . $text;
}


# What the stream may be sent now.

sub room {
    my ($self, $id) = @_;

    my $stream = $self->{streams}{$id};

    return $stream->{window} < $self->{window} ? $stream->{window}
                                               : $self->{window};
}


# Sends all of it as the windows open; false when the stream ends before.

sub data {
    my ($self, $id, $bytes, $end) = @_;

    my $stream = $self->{streams}{$id};
    my $until = time + 60;
    my $at = 0;

    while ($at < length $bytes) {
        return 0 if $stream->{closed} || $self->{closed};

        my $n = $self->room($id);

        $n = FRAME if $n > FRAME;
        $n = length($bytes) - $at if $n > length($bytes) - $at;

        if ($n <= 0) {
            die "no window in time\n" if time > $until;
            $self->pump;
            next;
        }

        $self->_data($id, substr($bytes, $at, $n),
                     $end && $at + $n == length $bytes) or return 0;
        $at += $n;
        $self->pump(0) if $at % (8 * FRAME) == 0;
    }

    $self->_data($id, '', 1) if $end && !length $bytes;
    return 1;
}


sub _data {
    my ($self, $id, $bytes, $end) = @_;

    $self->{window} -= length $bytes;
    $self->{streams}{$id}{window} -= length $bytes;

    return $self->frame(DATA, $end ? END_STREAM : 0, $id, $bytes);
}


sub reset {
    my ($self, $id, $why) = @_;

    return $self->frame(RST_STREAM, 0, $id, pack 'N', $why // CANCEL);
}


# Returns when the server has answered a PING: it has read all that was sent.

sub ping {
    my ($self) = @_;

    my $pongs = $self->{pongs} // 0;

    $self->frame(PING, 0, 0, 'exam-png');
    $self->pump until ($self->{pongs} // 0) > $pongs || $self->{closed};
    return !$self->{closed};
}


# Takes what the server has sent, waiting for it at most so long.

sub pump {
    my ($self, $seconds) = @_;

    return if $self->{closed};

    if (!IO::Select->new($self->{sock})->can_read($seconds // 20)) {
        die "nothing from the server in time\n" if !defined $seconds;
        return;
    }

    if (!$self->{sock}->sysread($self->{in}, 65536, length $self->{in})) {
        $self->{closed} = 1;
        $_->{closed} = 1 for values %{ $self->{streams} };
        return;
    }

    while (length $self->{in} >= 9) {
        my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $self->{in};
        my $length = $high << 16 | $low;

        last if length $self->{in} < 9 + $length;

        my $payload = substr $self->{in}, 9, $length;

        substr $self->{in}, 0, 9 + $length, '';
        $self->_take($type, $flags, $id & 0x7fffffff, $payload);
    }
}


sub _take {
    my ($self, $type, $flags, $id, $payload) = @_;

    my $stream = $self->{streams}{$id} // {};

    if ($type == DATA) {
        $stream->{body} .= $payload;

    } elsif ($type == HEADERS) {
        my $status = _status($payload);

        if ($status < 200) {
            push @{ $stream->{interim} }, $status;

        } else {
            $stream->{status} = $status;
        }

    } elsif ($type == RST_STREAM) {
        $stream->{reset} = unpack 'N', $payload;
        $stream->{closed} = 1;

    } elsif ($type == SETTINGS && !($flags & ACK)) {
        my %value = unpack '(nN)*', $payload;

        $self->{initial} //= $value{+INITIAL_WINDOW} // 65535;
        $self->frame(SETTINGS, ACK, 0, '');

    } elsif ($type == PING && $flags & ACK) {
        $self->{pongs}++;

    } elsif ($type == GOAWAY) {
        $self->{goaway} = (unpack 'NN', $payload)[1];

    } elsif ($type == WINDOW_UPDATE) {
        my $more = unpack 'N', $payload;

        if ($id == 0) {
            $self->{window} += $more;

        } else {
            $stream->{window} += $more;
            $stream->{granted} += $more;
        }
    }

    $stream->{ended} = $stream->{closed} = 1
        if ($type == DATA || $type == HEADERS) && $flags & END_STREAM;
}


sub _status {
    my ($block) = @_;

    my $first = ord $block;

    # a change of the table's size comes before it
    return _status(substr $block, 1) if ($first & 0xe0) == 0x20;

    return $status{$first & 127} // 0 if $first & 128;
    return substr $block, 2, 3;
}


# The answer of a stream; undef when the stream or the connection ended without
# one.

sub response {
    my ($self, $id) = @_;

    my $stream = $self->{streams}{$id};

    $self->pump until $stream->{closed} || $self->{closed};

    return if !$stream->{ended};

    my $json = eval { JSON::PP->new->utf8->decode($stream->{body}) };

    return { status => $stream->{status}, body => $stream->{body},
             json => $json, code => ref $json eq 'HASH' ? $json->{code} : undef,
             interim => $stream->{interim} };
}


# What the stream was reset with, when it was.

sub was_reset {
    my ($self, $id) = @_;

    my $stream = $self->{streams}{$id};

    $self->pump until defined $stream->{reset} || $self->{closed};
    return $stream->{reset};
}


# Bytes of window that the stream was given beyond its first one.

sub granted { return $_[0]{streams}{$_[1]}{granted} }


sub close {
    my ($self) = @_;

    $self->{sock}->close;
}


1;
