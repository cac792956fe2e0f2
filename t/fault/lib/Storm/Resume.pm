package Storm::Client;

# The clients of the storm that upload by tus, by the draft of the IETF, and by
# forms.  They send pieces of any size, vanish, hang and take themselves over,
# send checksums that are right and wrong, ask for deletions, leave uploads
# alone.  What they were told once must hold: an offset that goes back, or an
# upload that is gone before its time, is a finding.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use IO::Select;
use Time::HiRes qw(sleep time);

use Exam::Tus;
use Exam::Wire;

# seconds: exam_upload_expire of this server
our $Expire = 20;

my $uploads = '/api/v1/uploads';


sub resumer {
    my ($c) = @_;

    $c->login or return;

    until ($c->over) {
        my $n = $c->{n}++;
        my $body = pack('a64 a32 N2', @$c{qw(student sid)}, $n,
                        rand 2 ** 32) x (96 + rand 1824);
        my $how = rand();

        ($how < 0.6 ? $c->resume($n, $body, 0)
         : $how < 0.85 ? $c->resume($n, $body, 1) : $c->form($n, $body))
            or last;
        $c->pause(1.2);
    }
}


# Until it is acknowledged, or left alone.

sub resume {
    my ($c, $n, $body, $draft) = @_;

    my $s = { n => $n, body => $body, size => length $body, draft => $draft,
              sha256 => sha256_hex($body), told => -1, at => time };
    my $alone = rand() < 0.03 && time > ($c->{alone} // 0) + 3 * $Expire;

    $c->tell('count client ' . ($draft ? 'draft' : 'tus'));

    until ($c->over('now')) {
        my $well = !$s->{url} ? $c->begun($s)
            : !defined $s->{offset} ? $c->asked($s) : $c->went_on($s);

        if ($s->{done}) {
            $c->tell("ack $c->{sid} screen $n $s->{sha256}");
            return 1;
        }

        # complete by a request that had no answer: the same is known
        return $c->upload($n, $body) if $s->{conflict};

        if ($alone && $s->{told} > 0) {
            delete $c->{wire};
            $c->{alone} = time;
            $c->tell('count client leaves alone');
            $c->tell("maybe $c->{sid} screen $n $s->{sha256}");
            return 1;
        }

        $c->pause($well ? 0.1 : 0.5);
    }

    $c->tell("maybe $c->{sid} screen $n $s->{sha256}");
    return 0;
}


# ---- what an answer says

# The offset, when the answer tells one.

sub heard {
    my ($c, $s, $what, $res) = @_;

    my $h = $res->{headers};
    my $offset = $h->{'upload-offset'} // return;

    return if $res->{status} !~ /^(?:20[014]|409)$/;

    $c->tell('finding ' . Storm::clock() . " $what: offset $offset of"
             . " $s->{url} after $s->{told}, of $s->{size}")
        if $offset < $s->{told} || $offset > $s->{size};

    # a file is not older than the request that has written it
    @$s{qw(told at)} = ($offset, $s->{asked}) if $offset > $s->{told};

    $s->{offset} = $offset;
    $s->{done} = 1 if $offset == $s->{size} && (!$s->{draft}
        || ($h->{'upload-complete'} // '') eq '?1');
}


# Not there: by its own wish, by its age, or because it is complete.

sub is_gone {
    my ($c, $s, $what, $res) = @_;

    return 0 if !$res || $res->{status} !~ /^4(?:04|10)$/;

    $c->tell('finding ' . Storm::clock() . " $what: $s->{url} is $res->{status}"
             . ", told $s->{told} of $s->{size}") unless $c->may_go($s);
    @$s{qw(url offset told)} = (undef, undef, -1);
    return 1;
}


sub may_go {
    my ($c, $s) = @_;
    return $s->{sent} || $s->{erased} || time >= $s->{at} + $Expire - 1;
}


sub of_dialect {
    my ($s) = @_;

    return $s->{draft} ? ('Upload-Draft-Interop-Version' => 8)
                       : ('Tus-Resumable' => '1.0.0');
}


# ---- requests

# Creates it, perhaps once more than needed, perhaps with its first bytes.

sub begun {
    my ($c, $s) = @_;

    my $upto = rand() < 0.5 ? int rand $s->{size} : 0;

    # a length that is not meant: discarded by the next one
    if (!$s->{tries}++ && rand() < 0.05) {
        $c->expected('creation of another length',
            $c->creation($s, 7 + $s->{size}, 0), 201, 409, 423, 503, 507);
        $c->tell('count client another length');
    }

    my $res = $c->creation($s, $s->{size}, $upto);

    $c->expected('creation', $res, 201, 409, 423, 503, 507);
    return 0 if !$res || $res->{status} !~ /^(?:201|409)$/;

    if ($res->{status} == 409) {
        $c->tell('finding ' . Storm::clock() . ' creation: '
                 . ($res->{code} // 'none') . " of number $s->{n} that was not"
                 . ' sent') unless $s->{sent};
        return $s->{conflict} = 1;
    }

    my $url = Exam::Tus::path($res);

    $c->tell('finding ' . Storm::clock() . " creation: $url, of what was sent")
        if $s->{sent} && !$s->{erased} && time < $s->{at} + $Expire - 1;

    @$s{qw(sent erased)} = (0, 0) if $url ne ($s->{last} // '');
    @$s{qw(url last told at)} = ($url, $url, 0, $s->{asked});

    $c->heard($s, 'creation', $res);
    return 1;
}


sub creation {
    my ($c, $s, $length, $upto) = @_;

    my $path = $uploads;
    my %field = (of_dialect($s), 'Upload-Length' => $length);

    if ($s->{draft}) {
        $path .= "?kind=screen&n=$s->{n}";
        @field{'Upload-Complete', 'Content-Type'} = ('?0', 'video/webm');

    } else {
        $field{'Upload-Metadata'} = Exam::Tus::metadata(kind => 'screen',
            n => $s->{n}, filetype => 'video/webm');
        $field{'Content-Type'} = 'application/offset+octet-stream' if $upto;
    }

    $s->{asked} = time;
    return $c->request(POST => $path, substr($s->{body}, 0, $upto), %field);
}


sub asked {
    my ($c, $s) = @_;

    $s->{asked} = time;

    my $res = $c->attempt(sub {
        $c->head(HEAD => $s->{url}, undef, of_dialect($s));
        return $c->wire->response(head => 1);
    });

    $c->expected('offset', $res, 200, 204, 404, 410, 423);
    return 0 if !$res || $c->is_gone($s, 'offset', $res);

    $c->heard($s, 'offset', $res);
    return $res->{status} =~ /^20/;
}


# The next piece, in one of many ways.

sub went_on {
    my ($c, $s) = @_;

    my $left = $s->{size} - $s->{offset};
    my $n = $left == 0 || rand() < 0.3 ? $left : 1 + int rand $left;
    my $how = rand();

    return $c->cut_off($s, $n) if $how < 0.1;
    return $c->taken_over($s) if $how < 0.2;
    return $c->erased($s) if $how < 0.23;

    # any request may have a body that counts
    my %field = $how < 0.27 ? ('Upload-Offset' => $s->{offset} + 1) : ();

    if (!$s->{draft} && $n && $how > 0.7) {
        my $wrong = $how > 0.9 ? 'x' : '';
        my $alg = $how < 0.8 ? 'sha1' : 'sha256';

        $field{'Upload-Checksum'} = Exam::Tus::checksum($alg,
            $wrong . substr $s->{body}, $s->{offset}, $n);
        $field{wrong} = 1 if $wrong;
    }

    return $c->piece($s, $n, %field);
}


sub begin_piece {
    my ($c, $s, $n, %field) = @_;

    $s->{asked} = time;
    return $c->head(PATCH => $s->{url}, $n, $c->of_piece($s, $n), %field);
}


sub of_piece {
    my ($c, $s, $n) = @_;

    my $last = $s->{offset} + $n == $s->{size};

    return (of_dialect($s), 'Upload-Offset' => $s->{offset}, $s->{draft}
        ? ('Content-Type' => 'application/partial-upload',
           'Upload-Complete' => $last ? '?1' : '?0')
        : ('Content-Type' => 'application/offset+octet-stream'));
}


sub piece {
    my ($c, $s, $n, %field) = @_;

    my $wrong = delete $field{wrong};
    my $piece = substr $s->{body}, $s->{offset}, $n;
    my $before = $s->{offset};
    my $moved = exists $field{'Upload-Offset'};

    $s->{sent} = 1 if $before + $n == $s->{size} && !$wrong && !$moved;
    $s->{asked} = time;
    $s->{offset} = undef;

    my $res = do {
        local $s->{offset} = $before;
        $c->request(PATCH => $s->{url}, $piece, $c->of_piece($s, $n), %field);
    };

    $c->expected($wrong ? 'piece with a wrong checksum' : $moved
                 ? 'piece at another offset' : 'piece', $res,
                 $wrong ? 460 : $moved ? 409 : 204, $wrong || $moved ? ()
                 : ($s->{draft} ? (200, 201) : ()), 409, 404, 410, 423, 503,
                 507);
    return 0 if !$res || $c->is_gone($s, 'piece', $res);

    $c->heard($s, 'piece', $res);
    return $c->ended($s, $res) if $s->{draft} && $res->{status} =~ /^20[01]$/;
    return $s->{conflict} = 1 if ($res->{code} // '') eq 'segment_conflict';
    return $res->{status} =~ /^(?:204|409|460)$/;
}


# The final answer of the draft.

sub ended {
    my ($c, $s, $res) = @_;

    my $said = $res->{json}{sha256} // 'none';

    $c->tell("finding upload of $s->{sha256} is said to be $said")
        if $said ne $s->{sha256} && $said ne 'none';
    return $s->{done} = 1;
}


# Gone in the middle of a piece, or behind it.

sub cut_off {
    my ($c, $s, $n) = @_;

    my $sent = rand() < 0.3 ? $n : int rand $n + 1;

    $s->{sent} = 1 if $s->{offset} + $sent == $s->{size};
    $c->tell('count client cut off');

    $c->attempt(sub {
        $c->begin_piece($s, $n);
        $c->wire->send(substr $s->{body}, $s->{offset}, $sent);
        $c->pause(0.2);
        return;
    });

    $s->{offset} = undef;
    return 1;
}


# Hangs on one connection and goes on by another: the first one may never say
# that it has succeeded.

sub taken_over {
    my ($c, $s) = @_;

    my $left = $s->{size} - $s->{offset};

    return $c->piece($s, 0) if $left == 0;

    my $old = eval { Exam::Wire->new($c->{server}) } or return 0;

    $c->tell('count client takes over');

    {
        local $c->{wire} = $old;
        $c->begin_piece($s, $left);
        $old->send(substr $s->{body}, $s->{offset}, int rand $left);
    }

    $c->pause(0.3);
    $s->{offset} = undef;
    delete $c->{wire};

    my $well = $c->asked($s);

    $well = $c->piece($s, $s->{size} - $s->{offset})
        if $well && defined $s->{offset} && !$s->{done};

    my $in = '';

    $old->{sock}->sysread($in, 4096)
        if IO::Select->new($old->{sock})->can_read(0);

    # what a stopped process reads only when all is there is answered as that
    $c->tell('finding ' . Storm::clock() . " taken over: $in" =~ s/\s+/ /gr)
        if $in =~ m{^HTTP/1\.1 2} && !($s->{done}
                                       && $in =~ /^Upload-Complete: \?1/mi);
    $old->close;

    return $well;
}


# It must stay deleted.

sub erased {
    my ($c, $s) = @_;

    $s->{erased} = 1;
    $c->tell('count client deletes');

    my $res = $c->request(DELETE => $s->{url}, undef, of_dialect($s));

    $c->expected('deletion', $res, 204, 404, 410, 423, 503, 507);
    $s->{offset} = undef;
    return 0 if !$res || $res->{status} != 204;

    my $url = $s->{url};

    $c->asked($s);
    $c->tell('finding ' . Storm::clock() . " $url is there, and was deleted")
        if $s->{url} && defined $s->{offset};
    @$s{qw(url offset told done)} = (undef, undef, -1, 0);
    return 1;
}


# ---- forms

sub form {
    my ($c, $n, $body) = @_;

    my $sha256 = sha256_hex($body);
    my @field = ([kind => 'screen'], [n => $n]);
    my $form = join '', map { "--b0und\r\nContent-Disposition: form-data;"
        . " name=\"$_->[0]\"\r\n\r\n$_->[1]\r\n" } @field;

    $form .= "--b0und\r\nContent-Disposition: form-data; name=\"file\";"
        . " filename=\"a.webm\"\r\nContent-Type: video/webm\r\n\r\n$body\r\n"
        . "--b0und--\r\n";
    $c->tell('count client form');

    until ($c->over('now')) {
        my $res = $c->request(POST => '/api/v1/recordings', $form,
            'Content-Type' => 'multipart/form-data; boundary=b0und');

        if ($c->expected('form', $res, 201, 200, 503, 507)
            || $res && $res->{status} == 200)
        {
            $c->tell("ack $c->{sid} screen $n $sha256");
            return 1;
        }

        $c->pause(0.5);
    }

    $c->tell("maybe $c->{sid} screen $n $sha256");
    return 0;
}


1;
