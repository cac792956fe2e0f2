package Exam::Tus;

# A client of tus 1.0.0 and of the IETF's resumable uploads as the tests need
# it: each request on a connection of its own unless one is given, every field
# can be replaced or left out (undef), answers are those of Exam::Wire.
#
#   my $tus = Exam::Tus->new($server, exam => '30', student => 'S001');
#   my $url = $tus->create(11);
#   my $res = $tus->patch($url, 0, 'hello');

use strict;
use warnings;

use Digest::SHA qw(sha1 sha256);
use JSON::PP ();
use MIME::Base64 qw(encode_base64);

use Exporter qw(import);

use Exam;
use Exam::Wire;

our @EXPORT_OK = qw(candidates ready manifest);
our $Path = '/api/v1/uploads';


# fields => {...} stand in every request; token => undef for none.

sub new {
    my ($class, $server, %opt) = @_;

    my $self = bless { server => $server, fields => $opt{fields} // {} },
                     $class;

    $self->{token} = exists $opt{token} ? $opt{token}
        : Exam::token(exam => $opt{exam} // '30',
                      student => $opt{student} // 'S001', gen => 1000,
                      $opt{sid} ? (sid => $opt{sid}) : ());

    return $self;
}


sub fields {
    my ($self, %more) = @_;

    my %fields = (
        'Tus-Resumable' => '1.0.0',
        defined $self->{token}
            ? (Authorization => "Bearer $self->{token}") : (),
        %{ $self->{fields} }, %more);

    return [map {
        my $name = $_;
        ref $fields{$name} ? map { ($name, $_) } @{ $fields{$name} }
            : defined $fields{$name} ? ($name, $fields{$name}) : ();
    } sort keys %fields];
}


# One request; body undef: none, and no length.  Options: wire (a connection to
# use), version, chunks (the body is sent in chunks).

sub req {
    my ($self, $method, $path, $fields, $body, %opt) = @_;

    my $wire = $opt{wire} // Exam::Wire->new($self->{server});
    my %fields = %{ $fields // {} };

    if ($opt{chunks}) {
        $fields{'Transfer-Encoding'} //= 'chunked';

    } elsif (defined $body && !exists $fields{'Content-Length'}) {
        $fields{'Content-Length'} = length $body;
    }

    $wire->head($method, $path, $self->fields(%fields), $opt{version});

    if ($opt{chunks}) {
        $wire->chunk($_) for unpack "(a$opt{chunks})*", $body;
        $wire->send("0\r\n\r\n");

    } elsif (defined $body) {
        $wire->send($body);
    }

    return $wire->response(head => $method eq 'HEAD');
}


sub options { return $_[0]->req('OPTIONS', $Path) }


sub post {
    my ($self, $fields, $body, %opt) = @_;

    return $self->req('POST', $opt{path} // $Path, $fields, $body // '', %opt);
}


# The path of a new upload; dies unless it is one.

sub create {
    my ($self, $length, %fields) = @_;

    my $res = $self->post({
        defined $length ? ('Upload-Length' => $length)
                        : ('Upload-Defer-Length' => 1), %fields });

    die "no upload: $res->{status} $res->{body}\n" if $res->{status} != 201;
    return path($res);
}


# The path that an answer's Location names.

sub path {
    my ($res) = @_;

    return ($res->{headers}{location} // '') =~ s{\Ahttps?://[^/]+}{}r;
}


sub head {
    my ($self, $url, %fields) = @_;

    return $self->req('HEAD', $url, \%fields);
}


sub patch {
    my ($self, $url, $offset, $body, %fields) = @_;

    my %opt = map { exists $fields{$_} ? ($_ => delete $fields{$_}) : () }
                  qw(wire version chunks);

    return $self->req('PATCH', $url, {
        'Upload-Offset' => $offset,
        'Content-Type' => 'application/offset+octet-stream', %fields,
    }, $body, %opt);
}


sub delete {
    my ($self, $url, %fields) = @_;

    return $self->req('DELETE', $url, \%fields);
}


# The offset that a HEAD tells; undef when it does not.

sub offset {
    my ($self, $url) = @_;

    return $self->head($url)->{headers}{'upload-offset'};
}


# ---- of what the tests of uploads do alike

# A function that makes a candidate of his own at each call, S001 and so on:
# nobody's open uploads are in the way.

sub candidates {
    my ($server, %all) = @_;

    my $students = 0;

    return sub {
        return Exam::Tus->new($server, %all, student => sprintf('S%03d',
                              ++$students), @_);
    };
}


# Of a complete upload, by its path: its bytes, what its manifest says.

sub ready { return Exam::slurp(_ready($_[0]) . '.rec') }

sub manifest {
    return JSON::PP::decode_json(Exam::slurp(_ready($_[0]) . '.info'));
}

sub _ready {
    my ($path) = @_;

    return Exam::spool() . '/ready/' . ($path =~ m{/([^/]+)\z})[0];
}


# ---- values of fields

sub metadata {
    my (@pairs) = @_;

    my @out;

    while (my ($key, $value) = splice @pairs, 0, 2) {
        push @out, "$key " . encode_base64($value, '');
    }

    return join ',', @out;
}


sub checksum {
    my ($alg, $data) = @_;

    my $sum = $alg eq 'sha1' ? sha1($data)
        : $alg eq 'sha256' ? sha256($data)
        : $alg eq 'crc32c' ? pack('N', crc32c($data)) : $data;

    return "$alg " . encode_base64($sum, '');
}


sub digest { return 'sha-256=:' . encode_base64(sha256($_[0]), '') . ':' }


sub crc32c {
    my ($data) = @_;

    my $crc = 0xffffffff;

    for my $byte (unpack 'C*', $data) {
        $crc ^= $byte;
        $crc = $crc >> 1 ^ ($crc & 1 ? 0x82f63b78 : 0) for 1 .. 8;
    }

    return $crc ^ 0xffffffff;
}


1;
