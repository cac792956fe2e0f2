# Room on the spool's disk: the mark below which uploads are refused before
# their body, inodes, file systems that cannot reserve, and the forecast.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api;
use Exam::Trace;
use Exam::Wire;

my (@mounted, $n, $api, $server, $student);

Exam::load_exam('30', students => { map { ("S00$_" => {}) } 1 .. 4 });
Exam::allow_errors(qr/exam spool is nearly full/,
                   qr/exam \w+\(\) for upload "t1-\w+" failed/);


# A file system of its own, and nginx whose spool lies on it.

sub on_tmpfs {
    my ($options, %lines) = @_;

    my $small = Exam::dir() . '/small' . @mounted;
    mkdir $small;

    return if system("mount -t tmpfs -o mode=0777,$options tmpfs $small"
                     . ' 2>/dev/null') != 0;

    push @mounted, $small;
    $student = 'S00' . @mounted;
    $n = 0;
    $server->stop('QUIT') if $server;
    $server = Exam::server(workers => 1, http => Exam::http_lines(
        exam_spool => "$small/spool", %lines));
    $api = Exam::Api->new($server);

    return $small;
}


sub begin {
    my (%more) = @_;

    my %fields = ('Content-Type' => 'video/webm', 'Content-Length' => 100_000,
                  Authorization => 'Bearer ' . Exam::token(
                      exam => '30', student => $student, gen => 1000), %more);
    my $c = Exam::Wire->new($server);

    $c->head(PUT => '/api/v1/recordings/screen/' . $n++,
             [map { ($_, $fields{$_}) } sort keys %fields]);
    return $c;
}


sub put {
    my ($size) = @_;

    my $c = begin('Content-Length' => $size);
    $c->send('x' x $size);
    return $c->response;
}


sub beat {
    return $api->post('/api/v1/heartbeat', { seq => $n }, Exam::token(
        exam => '30', student => $student, gen => 1000))->{status};
}


sub fill {
    my ($file, $bytes) = @_;

    open my $fh, '>', $file or die "$file: $!\n";
    my $block = "\0" x 65_536;
    print $fh $block for 1 .. $bytes / 65_536;
    close $fh or die "$file: $!\n";
}


sub ill { return grep { $_ eq 'spool' } @{ $api->status->{degraded} } }

sub refused { return Exam::wait_for { ill() } 10 }

sub accepted { return Exam::wait_for { !ill() } 10 }


subtest 'the mark' => sub {
    my $small = on_tmpfs('size=12m', exam_spool_low => '6m')
        or plan skip_all => 'no right to mount';

    is put(100_000)->{status}, 201, 'above it uploads are taken';

    my $slow = begin('Content-Length' => 200_000);
    $slow->send('x' x 100_000);

    fill("$small/other", 7 << 20);
    ok refused(), 'below it the node says that its spool is ill';
    ok +(grep { $_ eq 'spool_low' } @{ $api->status->{alerts} }),
        '... and calls a person';

    my $c = begin(Expect => '100-continue');
    my $res = $c->response;
    is $res->{status}, 507, 'a new upload is refused';
    is $res->{code}, 'disk_full', '... with its reason';
    is $res->{continued}, 0, '... before its body';
    is beat(), 200, 'heartbeats are answered';
    is $api->get('/ready')->{status}, 200, 'and the node stays ready';

    $slow->send('x' x 100_000);
    is $slow->response->{status}, 201, 'what had begun is finished';

    unlink "$small/other";
    ok accepted(), 'room again: it is well without a restart';
    is put(100_000)->{status}, 201, '... and takes uploads';
};


subtest 'inodes' => sub {
    my $small = on_tmpfs('size=64m,nr_inodes=4096')
        or plan skip_all => 'no right to mount';

    is put(100_000)->{status}, 201, 'with enough of them uploads are taken';

    for my $i (1 .. 3000) {
        open my $fh, '>', "$small/inode$i" or die "inode: $!\n";
    }

    ok refused(), 'with too few the spool is ill';
    is put(100_000)->{code}, 'disk_full', '... and uploads are refused';
    is beat(), 200, 'heartbeats are answered';

    unlink glob "$small/inode*";
    ok accepted(), 'with enough again it is well';
    is put(100_000)->{status}, 201, '... and takes uploads';
};


subtest 'a file system that cannot reserve' => sub {
    on_tmpfs('size=12m', exam_journal_reserve => '0')
        or plan skip_all => 'no right to mount';

    my ($worker) = $server->workers;
    my ($first, $second);
    my $before = sub { $api->metric('upload_bytes_expected') };

    my @lines = traced($worker, ['-e', 'trace=fallocate', '-e',
        'inject=fallocate:error=EOPNOTSUPP'], sub {

        is put(100_000)->{status}, 201, 'uploads are taken nevertheless';

        $first = begin('Content-Length' => 8 << 20);
        Exam::wait_for { $before->() >= 8 << 20 } 10;

        $second = begin('Content-Length' => 8 << 20,
                        Expect => '100-continue')->response;
    });

    plan skip_all => 'processes cannot be traced here' unless @lines;

    is $second->{status}, 507, 'what running ones have to send is not free';
    is $second->{continued}, 0, '... told before the body';

    $first->send('y' x (8 << 20));
    is $first->response->{status}, 201, 'the running one finds its room';
    ok((Exam::wait_for { $before->() == 0 } 10), 'nothing is expected any more');
};


subtest 'the forecast' => sub {
    my $small = on_tmpfs('size=64m') or plan skip_all => 'no right to mount';

    is $api->status->{spool}{full_at}, undef, 'nobody knows at the start';

    my $i = 0;
    ok((Exam::wait_for {
        fill("$small/fill", ++$i << 16);
        return $api->status->{spool}{full_at};
    } 30), 'a disk that fills tells when it is full');

    my $left = $api->status->{spool}{full_at} - time * 1000;
    cmp_ok $left, '>', 0, '... in the future';
    cmp_ok $left, '<', 86_400_000, '... not in the far one';
    cmp_ok $api->status->{spool}{free_bytes}, '<', 64 << 20,
        'and how much is free';
};


END {
    $server->stop('QUIT') if $server;
    system "umount -l $_" for @mounted;
}

done_testing;
