# Uploads and the disk: order of the system calls, which thread makes them, what
# the client is told when one fails, and what is left.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Time::HiRes qw(sleep);

use Exam;
use Exam::Trace;
use Exam::Wire;

my $spool = Exam::spool();
my $n = 0;
my ($mounted, $server);
my $hit = 0;

Exam::load_exam('30', students => { S001 => {} });
Exam::allow_errors(qr/exam \w+\(\) for upload "t1-\w+" failed/,
                   qr/exam open\(\) (?:of the journal's reserve|in the journal)/);


sub fields {
    my (%more) = @_;

    my %fields = ('Content-Type' => 'video/webm', 'Content-Length' => 5,
                  Authorization => 'Bearer ' . Exam::token(
                      exam => '30', student => 'S001', gen => 1000), %more);

    return [map { defined $fields{$_} ? ($_, $fields{$_}) : () }
            sort keys %fields];
}


sub put {
    my ($server, $body, %more) = @_;

    my $c = Exam::Wire->new($server);
    $c->head(PUT => '/api/v1/recordings/screen/' . $n++,
             fields('Content-Length' => length $body, %more));
    $c->send($body);
    return $c->response;
}


sub files {
    my @files = sort map { s{^\Q$spool\E/}{}r } glob("$spool/$_[0]");
    return @files;
}

sub eventually {
    my ($true) = @_;
    return Exam::wait_for { $true->() } 10;
}


# The journal's calls are made by the same thread: receipts of uploads before
# are written, so that it is not one of them that fails.

sub journal_written {
    my $before = -1;

    return eventually(sub {
        my $size = 0;
        $size += -s $_ for glob "$spool/journal/*.log";

        my $same = $size == $before;
        $before = $size;
        sleep 0.2 unless $same;
        return $same;
    });
}


sub has_reserve {
    my $log = Exam::slurp($server->{error_log});

    return $log =~ /has its reserve again(?!.*reserve failed)/s;
}


# One thread, because strace counts the calls of each by itself; a short
# timeout, so that a slow disk would be taken for a slow client.
$server = Exam::server(workers => 1,
    main => 'thread_pool one threads=1;',
    http => Exam::http_lines(exam_thread_pool => 'one'),
    server => Exam::slurp("$Exam::Process::Root/nginx-conf/api.inc")
        =~ s/client_body_timeout\s+\w+;/client_body_timeout 1s;/r);
my $worker;

# the process has its name a moment after it has its socket
eventually(sub { ($worker) = $server->workers; return $worker });

my $calls = 'openat,pwrite64,write,writev,sendto,fallocate,fdatasync,fsync,'
            . 'sync_file_range,rename,renameat,renameat2,unlink,unlinkat,'
            . 'fstatfs,statfs,mkdir';


# ---- acknowledged = on stable storage

SKIP: {
    my $res;
    my @lines = traced($worker, ['-e', "trace=$calls"], sub {
        $res = put($server, 'x' x 700_000);
    });

    skip 'processes cannot be traced here', 12 unless @lines;

    is $res->{status}, 201, 'an upload under strace';

    my $id = $res->{json}{id};

    in_order(\@lines,
        ['the part is made', qr/openat\(.*part\/\w\w\/$id\.part"/],
        ['its room is taken', qr/fallocate\(.*$id\.part/],
        ['data are written', qr/pwrite64\(.*$id\.part/],
        ['data are synced', qr/fdatasync\(.*$id\.part/],
        ['the manifest is written', qr/pwrite64\(.*$id\.tmp/],
        ['the manifest is synced', qr/fdatasync\(.*$id\.tmp/],
        ['it is final',
         qr/renameat2?\(.*$id\.tmp".*part\/\w\w\/$id\.info"/],
        ['the file is handed over',
         qr/renameat2?\(.*$id\.part".*"ready\/$id\.rec"/],
        ['the commit mark is set',
         qr/renameat2?\(.*part\/\w\w\/$id\.info".*"ready\/$id\.info"/],
        ['the directory is synced', qr/fsync\(\d+<[^>]*\/ready>/],
        ['and then 201', qr/(?:writev|sendto|write)\(.*HTTP\/1\.1 201/]);

    # a call that was interrupted by another thread's line ends as "resumed"
    my @loop = grep { /^$worker / } @lines;

    ok @loop > 0, 'the event loop made calls';
    is_deeply [grep { /pwrite64|fallocate|sync|rename|unlink|openat|statfs/ }
               @loop], [], 'none of them to the disk';

    my %nice = map {
        my ($tid) = m{/task/(\d+)/};
        my $stat = Exam::slurp($_) =~ s/.*\) //r;
        ($tid, (split ' ', $stat)[16]);
    } glob "/proc/$worker/task/*/stat";

    # that of this test: all of it may have been started with less
    my $full = getpriority 0, 0;

    is delete $nice{$worker}, $full, 'the event loop has its full priority';
    ok !(grep { $_ != $full && $_ != 19 } values %nice)
       && (grep { $_ == 19 } values %nice), 'threads that wrote are at nice 19';
}


# ---- calls that fail

for (
    ['no room for the file', 'fallocate:error=ENOSPC', 507, 'disk_full', 0],
    ['over the quota', 'fallocate:error=EDQUOT', 507, 'disk_full', 0],
    ['a file system without fallocate', 'fallocate:error=EOPNOTSUPP', 201,
     undef, 1],
    ['the part cannot be made', 'openat:error=EACCES', 500, 'internal', 0],
    ['a write that O_DIRECT does not take', 'pwrite64:error=EINVAL:when=1',
     201, undef, 1],
    ['the disk is full in the middle', 'pwrite64:error=ENOSPC:when=2', 507,
     'disk_full', 1],
    ['the disk is broken in the middle', 'pwrite64:error=EIO:when=2', 500,
     'internal', 1],
    ['the sync of the data fails', 'fdatasync:error=EIO:when=1', 500,
     'internal', 1],
    ['the sync of the manifest fails', 'fdatasync:error=EIO:when=2', 500,
     'internal', 1],
    ['the first rename fails', 'renameat:error=EIO:when=1', 500, 'internal',
     1],
    ['the second rename fails', 'renameat:error=EIO:when=2', 500, 'internal',
     1],
    ['the third rename fails', 'renameat:error=EIO:when=3', 500, 'internal',
     1],
) {
    my ($what, $inject, $status, $code, $continued) = @$_;
    my ($call) = $inject =~ /^(\w+)/;
    my ($res, $later, $number);
    my $before = files('ready/*');
    my $log = length Exam::slurp($server->{error_log});

    journal_written();

    my @lines = traced($worker, ['-e', "trace=$call", '-e',
                                 "inject=$inject"], sub {
        my $c = Exam::Wire->new($server);
        $number = $n;
        $c->head(PUT => '/api/v1/recordings/screen/' . $n++,
                 fields('Content-Length' => 700_000,
                        Expect => '100-continue'));
        $c->send('x' x 700_000) if $continued;
        $res = $c->response;
    });

    # a look at the journal's reserve was hit as well: for as long as that
    # lasts the spool is taken for full

    if (substr(Exam::slurp($server->{error_log}), $log)
            =~ /journal's reserve failed/ && $hit++ < 5)
    {
        eventually(\&has_reserve);
        $n = $number;
        redo;
    }

    SKIP: {
        skip 'processes cannot be traced here', 6 unless @lines;

        is $res->{status}, $status, "$what: $status";
        is $res->{code}, $code, "$what: code";
        is $res->{continued}, $continued, "$what: "
            . ($continued ? 'after the body' : 'before the body');

        if ($status != 201) {
            ok eventually(sub { !files('part/*/*') }), "$what: no part stays";
            ok eventually(sub { $before == files('ready/*') }),
                "$what: nothing is handed over";

            $n = $number;
            $later = put($server, 'x' x 700_000);
            is $later->{status}, 201, "$what: the number is free for another";
        }
    }
}

# behind the commit mark an upload may be at the worker already
SKIP: {
    my $res;
    my @lines = traced($worker, ['-e', 'trace=fsync', '-e',
                                 'inject=fsync:error=EIO'], sub {
        $res = put($server, 'behind the mark');
    });

    skip 'processes cannot be traced here', 3 unless @lines;

    is $res->{status}, 500, 'the sync of the directory fails: no 201';
    is scalar(grep { Exam::slurp("$spool/$_") eq 'behind the mark' }
              files('ready/*.rec')), 1, 'what was handed over stays';
    is_deeply [files('part/*/*')], [], 'nothing stays in part/';
}


# ---- two processes of one number: who finishes first is waited for

SKIP: {
    my @res;
    my $pid;
    my $pair = Exam::server();

    eventually(sub { ($pid) = $pair->workers; return $pid });

    my @lines = traced($pid, ['-e', 'trace=fsync', '-e',
                              'inject=fsync:delay_enter=300000'], sub {
        my @c = map { Exam::Wire->new($pair) } 0, 1;

        for (0, 1) {
            $c[$_]->head(PUT => "/api/v1/recordings/screen/$n", fields());
            $c[$_]->send($_ ? 'hello' : 'other');
        }

        @res = sort { $a->{status} <=> $b->{status} }
               map { $_->response } @c;
        $n++;
    });

    skip 'processes cannot be traced here', 2 unless @lines;

    is_deeply [map { $_->{status} } @res], [201, 409],
        'one is finished, the other waits for it and is told';
    $pair->stop('QUIT');
    is scalar(grep { Exam::slurp("$spool/$_") =~ /^(?:hello|other)$/ }
              files('ready/*.rec')), 1, 'one file';
}


# ---- a slow disk: the reading stops, a reload waits, nothing is lost

SKIP: {
    my ($c, $res, $rss);
    my $body = 'y' x 3_500_000;

    my @lines = traced($worker, ['-e', 'trace=pwrite64', '-e',
                                 'inject=pwrite64:delay_enter=400000'], sub {
        $c = Exam::Wire->new($server);
        $c->head(PUT => "/api/v1/recordings/screen/$n",
                 fields('Content-Length' => length $body));

        my $pid = fork // die "fork: $!\n";

        if ($pid == 0) {
            $c->send($body);
            POSIX::_exit(0);
        }

        eventually(sub {
            my $st = Exam::request('GET', "$server->{url}/status")->{json};
            return $st->{upload_bytes_in_flight} > 1_000_000;
        });

        kill 'HUP', $server->{pid};
        ok eventually(sub {
            my @now = $server->workers;
            return @now && !grep { $_ == $worker } @now;
        }), 'a reload while the disk is slow';

        my $sent = Exam::request('GET', "$server->{url}/health");
        is $sent->{status}, 200, 'the new process serves';

        ok -e "/proc/$worker", 'the old one has its upload still';
        $res = $c->response;
        waitpid $pid, 0;
    });

    skip 'processes cannot be traced here', 2 unless @lines;

    is $res->{status}, 201, 'which is received to its end';
    ok Exam::slurp("$spool/ready/$res->{json}{id}.rec") eq $body,
        'with all its bytes';
    ok eventually(sub { !-e "/proc/$worker" }), 'then the old process leaves';
}


# A full ring with something left over, the client waiting for us: it gets no
# 408 for the disk's sake.

SKIP: {
    my ($pid, $res);
    my $slow = Exam::server(
        server => Exam::slurp("$Exam::Process::Root/nginx-conf/api.inc")
            =~ s/client_body_timeout\s+\w+;/client_body_timeout 1s;/r);
    my ($least, $most) = (4 * 32_768, 2 * 262_144);
    my $in_flight = sub {
        return Exam::request('GET', "$slow->{url}/status")->{json}
                   {upload_bytes_in_flight};
    };

    eventually(sub { ($pid) = $slow->workers; return $pid });

    my @lines = traced($pid, ['-e', 'trace=pwrite64', '-e',
                              'inject=pwrite64:delay_enter=1500000:when=1'],
    sub {
        my $c = Exam::Wire->new($slow);

        $c->head(PUT => '/api/v1/recordings/screen/80', fields(
            'Content-Length' => undef, 'Transfer-Encoding' => 'chunked'));
        $c->chunk('x' x ($most + 5000));

        ok eventually(sub { $in_flight->() >= $least }), 'the ring is full';
        cmp_ok $in_flight->(), '<=', $most, '... of what an upload may hold';
        ok eventually(sub { $in_flight->() == $most + 5000 }),
            'until the disk has written';

        $c->send("0\r\n\r\n");
        $res = $c->response;
    });

    skip 'processes cannot be traced here', 1 unless @lines;

    is $res->{status}, 201, 'a client that waited for the disk';
    $slow->stop('QUIT');
}


# ---- more uploads than the threads can take

SKIP: {
    my ($pid, $res);
    my $busy = Exam::server(
        main => 'thread_pool one threads=1 max_queue=1;',
        http => Exam::http_lines(exam_thread_pool => 'one',
                                 exam_kind_uploads => '4'));

    Exam::allow_errors(qr/thread pool "one" queue overflow/);
    eventually(sub { ($pid) = $busy->workers; return $pid });

    my @lines = traced($pid, ['-e', 'trace=pwrite64', '-e',
                              'inject=pwrite64:delay_enter=500000:when=1'],
    sub {
        my @c = map { Exam::Wire->new($busy) } 0 .. 4;

        for (0 .. 4) {
            $c[$_]->head(PUT => '/api/v1/recordings/'
                                . ($_ & 1 ? 'camera/' : 'screen/') . (60 + $_),
                         fields($_ ? (Expect => '100-continue') : ()));
            $c[0]->send('hello') if $_ == 0;

            # the thread is writing the first, one more may wait for it
            eventually(sub { files('part/*/*.part') }) if $_ == 0;
        }

        $res = $c[4]->response;
        $_->close for @c;
    });

    skip 'processes cannot be traced here', 6 unless @lines;

    is $res->{status}, 503, 'no thread for it: 503';
    is $res->{code}, 'overloaded', 'overloaded';
    like $res->{headers}{'retry-after'}, qr/^\d+$/, 'for a while';
    is $res->{continued}, 0, 'before its body';

    ok eventually(sub {
        $n = 70;
        return put($busy, 'hello')->{status} == 201;
    }), 'then there is one again';
    ok eventually(sub { !files('part/*/*') }), 'no part stays';
    $busy->stop('QUIT');
}


# ---- a limit of the file size: the disk is full in the middle

{
    my $wrapper = Exam::spew(Exam::dir() . '/limited', <<'END');
#!/bin/sh
exec prlimit --fsize=1048576 "${TEST_NGINX_BINARY:-$EXAM_NGINX}" "$@"
END
    chmod 0755, $wrapper;
    local $ENV{EXAM_NGINX} = Exam::bin('nginx');

    my $limited = Exam::server(binary => $wrapper);

    my $c = Exam::Wire->new($limited);
    $c->head(PUT => '/api/v1/recordings/camera/0', fields(
        'Content-Length' => undef, 'Transfer-Encoding' => 'chunked'));
    $c->chunk('x' x 100_000) for 1 .. 20;
    $c->send("0\r\n\r\n");

    my $res = $c->response;
    is $res->{status}, 507, 'no room for what comes in chunks: 507';
    is $res->{code}, 'disk_full', 'disk_full';
    ok eventually(sub { !files('part/*/*') }), 'no part stays';

    $n = 40;
    is put($limited, 'z' x 1_048_576)->{status}, 201, 'what fits is taken';
}


# ---- a spool that is really full, on a file system of its own

SKIP: {
    my $small = Exam::dir() . '/small';
    mkdir $small;

    skip 'no right to mount', 5
        if system("mount -t tmpfs -o size=4m,mode=0777 tmpfs $small"
                  . ' 2>/dev/null') != 0;

    $mounted = $small;

    my $full = Exam::server(http => Exam::http_lines(
        exam_spool => "$small/spool"));
    my $c = Exam::Wire->new($full);

    $n = 50;
    is put($full, 'a' x 1_500_000)->{status}, 201, 'the first one fits';

    $c->head(PUT => '/api/v1/recordings/screen/51', fields(
        'Content-Length' => 3_000_000, Expect => '100-continue'));

    my $res = $c->response;
    is $res->{status}, 507, 'the next one does not';
    is $res->{code}, 'disk_full', 'and is told so';
    is $res->{continued}, 0, 'before its body';

    $n = 51;
    is put($full, 'b' x 1_500_000)->{status}, 201,
        'the room of the refused one is free again';

    $full->stop('QUIT');
}

END {
    system "umount -l $mounted" if defined $mounted;
}

done_testing;
