package Resume;

# A client of resumable uploads for the fault tests.  It keeps the highest
# offset that it was ever told, and takes note when one goes back; after a fault
# it does what a client does: asks for the offset, sends the rest.
#
# An upload is one of Crash::upload_of with url (known: its creation was
# answered), told (-1: nothing yet), deleted (1: asked for, 2: answered), wrong
# (what it has noticed) beside.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Exporter 'import';
use Time::HiRes qw(sleep time);

use Crash;
use Exam;
use Exam::Tus;
use Exam::Wire;
use Spool ();

our @EXPORT = qw(age append arrived ask begun create erase look part_of
                 resume_of satisfied tombstones);


sub resume_of {
    my (%opt) = @_;

    my $u = upload_of(%opt);

    $u->{tus} = Exam::Tus->new($Crash::Nginx, exam => $Crash::Exam,
                               student => $u->{student});
    $u->{told} = -1;
    $u->{wrong} = [];
    return $u;
}


# One request of Exam::Tus; the answer, undef when there is none.

sub ask {
    my ($u, $method, @args) = @_;

    $u->{tus}{server} = $Crash::Nginx;
    return noted($u, scalar eval { $u->{tus}->$method(@args) });
}


sub noted {
    my ($u, $res) = @_;

    my $offset = $res ? $res->{headers}{'upload-offset'} : undef;

    return $res if !defined $offset || $res->{status} !~ /^(?:20[014]|409)$/;

    push @{ $u->{wrong} }, "offset $offset after $u->{told}"
        if $offset < $u->{told};

    $u->{told} = $offset if $offset > $u->{told};
    $u->{acked} = $res->{status} if $offset == length $u->{data};
    $u->{acked_id} = $u->{url} =~ s{.*/}{}r if $u->{acked};
    return $res;
}


# upto => N: with the first bytes; more fields as they are.

sub create {
    my ($u, %field) = @_;

    my $upto = delete $field{upto} // 0;
    my $old = $u->{url};

    $u->{url} //= '';

    my $res = ask($u, post => {
        'Upload-Length' => length $u->{data},
        'Upload-Metadata' => Exam::Tus::metadata(kind => 'screen',
            n => $u->{n}, filetype => 'video/webm'),
        $upto ? ('Content-Type' => 'application/offset+octet-stream') : (),
        %field }, substr $u->{data}, 0, $upto);

    $u->{url} = $old;
    return $res unless $res && $res->{status} == 201;

    $u->{url} = Exam::Tus::path($res);
    $u->{id} = $u->{url} =~ s{.*/}{}r;
    $u->{told} = 0 if $u->{told} < 0;
    push @{ $u->{wrong} }, "another upload than $old"
        if defined $old && $old ne $u->{url};
    return $res;
}


sub look { return ask($_[0], head => $_[0]{url}) }


# From the offset to the other, or to the end.

sub append {
    my ($u, $from, $to, %field) = @_;

    $to //= length $u->{data};
    return ask($u, patch => $u->{url}, $from,
               substr($u->{data}, $from, $to - $from), %field);
}


sub erase {
    my ($u) = @_;

    $u->{deleted} //= 1;

    my $res = ask($u, delete => $u->{url});

    $u->{deleted} = 2 if $res && $res->{status} == 204;
    return $res;
}


# A PATCH to the end of which only so many bytes are sent, and are written: its
# connection.

sub begun {
    my ($u, $from, $bytes, $wire) = @_;

    $wire //= Exam::Wire->new($Crash::Nginx);
    $wire->head(PATCH => $u->{url}, $u->{tus}->fields(
        'Upload-Offset' => $from,
        'Content-Length' => length($u->{data}) - $from,
        'Content-Type' => 'application/offset+octet-stream'));
    $wire->send(substr $u->{data}, $from, $bytes);
    return $wire;
}


# What was sent has come: the process waits for more.

sub arrived {
    my ($bytes) = @_;

    return wait_for {
        my $res = eval { Exam::request('GET', $Crash::Nginx->url . '/status') };
        return $res && ($res->{json}{upload_bytes_in_flight} // 0) >= $bytes;
    } 10;
}


# '' when all that was told still holds, and the client can go on to the end;
# what was deleted, or has expired, is created anew.

sub satisfied {
    my ($u) = @_;

    my $res = defined $u->{url} ? look($u) : create($u);

    return 'no answer' unless $res;

    if ($res->{status} =~ /^4(?:04|10)$/ && $u->{deleted}) {
        @$u{qw(url deleted told)} = (undef, undef, -1);
        $res = create($u) or return 'no answer to a creation anew';
    }

    return 'a deleted upload is there' if ($u->{deleted} // 0) == 2;
    return "status $res->{status} $res->{body}"
        if $res->{status} !~ /^20[01]$/;

    if ($u->{deleted}) {
        $res = erase($u);
        return 'deleted again: ' . ($res ? $res->{status} : 'no answer')
            if !$res || $res->{status} != 204;
        return satisfied($u);
    }

    $res = look($u) if $res->{status} == 201;

    my $at = $res ? $res->{headers}{'upload-offset'} : undef;

    return 'no offset' unless defined $at;

    my $either = delete $u->{either} // [$at];

    return "offset $at, of " . join ' or ', @$either
        if !grep { $at == $_ } @$either;

    if ($at < length $u->{data}) {
        $res = append($u, $at);
        return 'the rest: ' . ($res ? "$res->{status} $res->{body}"
                                    : 'no answer')
            if !$res || $res->{status} != 204;

        $res = look($u);
    }

    return 'at the end: ' . ($res ? $res->{status} : 'no answer')
        if !$res || $res->{status} != 200
           || $res->{headers}{'upload-offset'} != length $u->{data};

    return join '; ', splice @{ $u->{wrong} };
}


# ---- what is on the disk

sub part_of {
    my ($u, $suffix) = @_;

    my ($two) = $u->{id} =~ /-(..)/;
    return "part/$two/$u->{id}.$suffix";
}


# As old as one that has expired.

sub age {
    my ($u, $hours) = @_;

    my $at = time - 3600 * ($hours // 25);

    utime $at, $at, map { Exam::spool() . '/' . part_of($u, $_) }
                        qw(part info gone);
}


sub tombstones { return files_below(Exam::spool() . '/part', qr/\.gone$/) }


1;
