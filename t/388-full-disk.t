# A spool without any room left while resumable uploads go on: the answers name
# offsets that are durable and never go back, and with room again each upload
# comes to its end, without help.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_base64);

use Exam;
use Exam::Api;
use Exam::Tus;
use Exam::Wire;

use constant BLOCK => 65_536;

my (@mounted, $small, $server, $tus);
my $n = 0;
my %ietf = ('Tus-Resumable' => undef, 'Upload-Draft-Interop-Version' => 8);

Exam::load_exam('30', students => { map { $_ => {} } 'S001' .. 'S009' });
Exam::allow_errors(qr/exam \w+\(\) for upload "t1-\w+" failed/,
                   qr/exam spool is nearly full/,
                   qr/exam open\(\) of the journal's reserve/,
                   qr/exam \w+\(\) of the journal's reserve/,
                   qr/exam \w+\(\) in the journal failed/,
                   qr/exam spool is full, the journal's reserve is in use/);


sub on_tmpfs {
    my ($options) = @_;

    $small = Exam::dir() . '/full' . @mounted;
    mkdir $small;

    return if system("mount -t tmpfs -o mode=0777,$options tmpfs $small"
                     . ' 2>/dev/null') != 0;

    push @mounted, $small;
    start();

    return $small;
}

sub start {
    $server->stop('QUIT') if $server;
    $server = Exam::server(workers => 1, http => Exam::http_lines(
        exam_spool => "$small/spool", exam_spool_low => '0',
        exam_kind_uploads => 4));
    $tus = Exam::Tus->new($server, student => 'S00' . @mounted);
    return;
}

sub meta {
    return ('Upload-Metadata' => Exam::Tus::metadata(
        kind => 'screen', n => $n++, filetype => 'video/webm'));
}

# The last free byte, as others would take it.

sub fill {
    open my $fh, '>>', "$small/other" or die "other: $!\n";
    for my $size (BLOCK, 4096) {
        while (syswrite $fh, "\0" x $size) { }
    }
    close $fh;
    return;
}

sub fill_inodes {
    mkdir "$small/inodes";
    my $i = 0;
    while (open my $fh, '>', "$small/inodes/" . $i++) { close $fh }
    return;
}

sub room {
    unlink "$small/other", glob "$small/inodes/*";

    # it is seen within a second, and the journal takes its reserve again
    Exam::wait_for {
        my $status = Exam::Api->new($server)->status;
        $status->{spool}{free_bytes} > 3_500_000
            && !grep { $_ eq 'spool' } @{ $status->{degraded} };
    } 20;
    return;
}

# Bytes that no two blocks have in common.

sub bytes {
    my ($size) = @_;
    return substr join('', map { pack 'N2', $_, $_ * 2_654_435_761 % 2 ** 32 }
                       1 .. $size / 8 + 1), 0, $size;
}

sub part {
    my ($url) = @_;

    my ($id) = $url =~ m{([^/]+)\z};
    my ($two) = $id =~ /-(..)/;

    return "$small/spool/part/$two/$id.part";
}

# A body in chunks whose rest finds no room.

sub torn {
    my ($url, $data, $first, %fields) = @_;

    my $before = -s part($url);
    my $c = Exam::Wire->new($server);

    $c->head(PATCH => $url, $tus->fields(
        'Content-Type' => 'application/offset+octet-stream',
        'Transfer-Encoding' => 'chunked', %fields));
    $c->chunk($_) for unpack '(a' . BLOCK . ')*', substr $data, 0, $first;

    Exam::wait_for { -s part($url) > $before + $first - 600_000 } 20;

    fill();
    $c->chunk($_) for unpack '(a' . BLOCK . ')*', substr $data, $first;
    $c->send("0\r\n\r\n");

    return $c->response;
}

# With room again it is gone on with to its end.

sub ended {
    my ($what, $url, $data) = @_;

    room();

    my $res = $tus->head($url);
    my $offset = $res->{headers}{'upload-offset'} // 0;

    is $res->{status}, 200, "$what: with room again HEAD 200";

    $res = $tus->patch($url, $offset, substr($data, $offset),
                       'Upload-Length' => length $data);
    is $res->{status}, 204, '... it goes on to its end';
    is $res->{headers}{'repr-digest'},
        'sha-256=:' . sha256_base64($data) . '=:', '... with all its bytes';
    return;
}


for my $draft (0, 1) {
    my $what = $draft ? 'draft' : 'tus';

    subtest "P7: $what, the rest of a body" => sub {
        on_tmpfs('size=12m') or plan skip_all => 'no right to mount';

        my $data = bytes(6_000_000);
        my $url = $tus->create(undef, meta());
        my $told = 100_000;

        is $tus->patch($url, 0, substr $data, 0, $told)->{status}, 204,
            'a part';

        my $res = torn($url, substr($data, $told), 2_000_000,
            'Upload-Offset' => $told, $draft ? (
            'Content-Type' => 'application/partial-upload',
            'Upload-Complete' => '?0', %ietf) : ());

        is $res->{status}, 507, 'then the disk is full: 507';
        is $res->{code}, 'disk_full', '... disk_full';

        my $offset = $res->{headers}{'upload-offset'};

        cmp_ok $offset // 0, '>', $told + 1_000_000,
            '... with the offset, which is not far back';
        is $res->{headers}{'upload-complete'}, $draft ? '?0' : undef,
            '... and that it is not complete' if $draft;

        for my $again (1 .. 3) {
            $res = $tus->head($url, $draft ? %ietf : ());
            is $res->{status}, $draft ? 204 : 200,
                "HEAD $again while it is full";
            is $res->{headers}{'upload-offset'}, $offset, '... the same';
        }

        fill();
        $res = $tus->patch($url, $offset, substr $data, $offset, 1_000_000);
        is $res->{status}, 507, 'PATCH 507';
        cmp_ok $res->{headers}{'upload-offset'} // 0, '>=', $offset,
            '... never back';
        $offset = $res->{headers}{'upload-offset'};

        fill();
        start();
        $res = $tus->head($url);
        is $res->{status}, 200, 'HEAD behind a restart';
        is $res->{headers}{'upload-offset'}, $offset, '... the same';

        ended($what, $url, $data);
    };
}


subtest 'P7: bytes that nobody was told of' => sub {
    on_tmpfs('size=12m') or plan skip_all => 'no right to mount';

    for my $length (3_000_000, undef) {
        my $what = $length ? 'of known length' : 'deferred';
        my $data = bytes(3_000_000);
        my $url = $tus->create($length, meta());
        my $c = Exam::Wire->new($server);

        $c->head(PATCH => $url, $tus->fields(
            'Content-Type' => 'application/offset+octet-stream',
            'Upload-Offset' => 0, 'Content-Length' => 3_000_000));
        $c->send(substr $data, 0, 2_000_000);
        Exam::wait_for { -s part($url) > 1_400_000 } 20;

        fill();

        my $res = $tus->head($url);
        my $offset = $res->{headers}{'upload-offset'} // 0;
        is $res->{status}, 200, "$what: HEAD takes it over on a full disk";
        cmp_ok $offset, '>=', 1_300_000, '... with nearly all of them';

        $c->close;
        start();
        is $tus->offset($url), $offset, '... and so behind a restart';

        if ($length) {
            $res = $tus->patch($url, $offset, substr $data, $offset, 500_000);
            is $res->{status}, 204, '... its room is its own still';
            is $res->{headers}{'upload-offset'}, $offset + 500_000,
                '... all of it';
        }

        ended($what, $url, $data);
    }
};


subtest 'P7: the end' => sub {
    on_tmpfs('size=12m') or plan skip_all => 'no right to mount';

    my $data = bytes(3_000_000);
    my $url = $tus->create(length $data, meta());

    is $tus->patch($url, 0, substr $data, 0, 1_000_000)->{status}, 204,
        'a third';
    fill();

    my $res = $tus->patch($url, 1_000_000, substr $data, 1_000_000);
    is $res->{status}, 507, 'no room for the end of it: 507';

    my $offset = $res->{headers}{'upload-offset'} // 0;
    cmp_ok $offset, '>=', 2_900_000, '... nearly all is kept';
    cmp_ok $offset, '<', 3_000_000, '... but it is not told to be complete';

    $res = $tus->head($url);
    is $res->{status}, 200, 'HEAD';
    is $res->{headers}{'upload-offset'}, $offset, '... the same';

    ended('the end', $url, $data);
};


subtest 'P7: a creation' => sub {
    on_tmpfs('size=12m') or plan skip_all => 'no right to mount';

    for my $draft (0, 1) {
        my $what = $draft ? 'draft' : 'tus';
        my $data = bytes(6_000_000);
        my $c = Exam::Wire->new($server);
        my @before = glob "$small/spool/part/*/*.part";

        $c->head(POST => $Exam::Tus::Path, $tus->fields(
            meta(), 'Transfer-Encoding' => 'chunked', $draft ? (
            'Content-Type' => 'video/webm', 'Upload-Complete' => '?1',
            %ietf, 'Upload-Draft-Interop-Version' => undef) : (
            'Content-Type' => 'application/offset+octet-stream',
            'Upload-Defer-Length' => 1)));
        $c->chunk($_) for unpack '(a' . BLOCK . ')*', substr $data, 0,
                                 2_000_000;
        Exam::wait_for {
            my ($new) = grep { my $file = $_; !grep { $_ eq $file } @before }
                             glob "$small/spool/part/*/*.part";
            $new && -s $new > 1_400_000;
        } 20;
        fill();
        $c->chunk($_) for unpack '(a' . BLOCK . ')*', substr $data, 2_000_000;
        $c->send("0\r\n\r\n");

        my $res = $c->response;
        my $url = Exam::Tus::path($res);

        is $res->{status}, 507, "$what: 507";
        like $url, qr{^/api/v1/uploads/}, '... with its address';
        is $tus->offset($url), $res->{headers}{'upload-offset'} // 'none',
            '... and the offset that HEAD tells';

        ended($what, $url, $data);
    }
};


subtest 'P7: inodes' => sub {
    on_tmpfs('size=12m,nr_inodes=2000') or plan skip_all => 'no right to mount';

    my $data = bytes(3_000_000);
    my $url = $tus->create(length $data, meta());

    is $tus->patch($url, 0, substr $data, 0, 1_000_000)->{status}, 204,
        'a third';
    fill_inodes();

    my $res = $tus->patch($url, 1_000_000, substr $data, 1_000_000, 1_000_000);
    is $res->{status}, 507, 'no inode: 507';
    is $res->{headers}{'upload-offset'}, 1_000_000, '... the offset told last';

    is $tus->offset($url), 1_000_000, 'HEAD the same';
    start();
    is $tus->offset($url), 1_000_000, '... behind a restart';

    ended('inodes', $url, $data);
};


END {
    undef $server;
    system "umount -l $_" for @mounted;
}

done_testing();
