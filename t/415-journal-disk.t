# The journal and the disk: what is called before a 202, what a failure means
# for those who wait and for the others, and what a killed process leaves.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Exam;
use Exam::Api qw(is_problem claims_of raw_request);
use Exam::Journal;
use Exam::Trace;

my $spool = Exam::spool();
my $events = '/api/v1/events';
my $n = 0;
my $mounted;

Exam::load_exam('30', students => {
    map { $_ => { code => $Exam::Api::Code } } 'S001' .. 'S099' });
Exam::allow_errors(qr/exam \S+ in the journal failed/,
    qr/worker process \d+ exited on signal 9/,
    qr/exam spool is full, the journal's reserve is in use/,
    qr/journal's reserve failed, events are refused/);


# One thread, because strace counts the calls of each by itself.

sub node {
    my (%change) = @_;

    my $main = delete $change{main} // '';
    my $binary = delete $change{binary};

    return Exam::Api->new(Exam::server(workers => 1,
        main => "thread_pool one threads=1; $main",
        $binary ? (binary => $binary) : (),
        http => Exam::http_lines(exam_thread_pool => 'one',
                                 exam_events_rate => '0', %change)));
}

sub worker {
    my ($api) = @_;

    my $pid;
    Exam::wait_for { ($pid) = $api->nginx->workers; return $pid };
    return $pid;
}

sub login {
    my ($api, $student) = @_;
    return $api->login('30', $student)->{json}{token};
}

sub send_event {
    my ($api, $token, $id, $data) = @_;

    return $api->post($events, { events => [
        { id => $id, type => 't', defined $data ? (data => $data) : () }] },
        $token);
}

# ids of events in the journals of a spool

sub ids {
    return map { $_->{id} } Exam::Journal::records($_[0] // $spool,
                                                   type => 'event');
}


my $api = node();
my $token = login($api, 'S001');
my $worker = worker($api);


# ---- acknowledged = on stable storage

SKIP: {
    my $res;
    my @lines = traced($worker, ['-e', 'trace=openat,write,writev,sendto,'
                                 . 'fdatasync,fsync,pwrite64,unlinkat'], sub {
        $res = send_event($api, $token, 'traced');
    });

    skip 'processes cannot be traced here', 6 unless @lines;

    is $res->{status}, 202, 'an event under strace';

    in_order(\@lines,
        ['its line is written', qr/write\(\d+<[^>]*\/journal\/.*traced/],
        ['it is synced', qr/fdatasync\(\d+<[^>]*\/journal\//],
        ['and then 202', qr/(?:writev|sendto|write)\(.*HTTP\/1\.1 202/]);

    my @loop = grep { /^$worker / } @lines;

    ok @loop > 0, 'the event loop made calls';
    is_deeply [grep { /journal\/|sync|unlink|openat/ } @loop], [],
        'none of them to the disk';
}

SKIP: {
    my $fresh = node();
    my @lines = traced(worker($fresh), ['-e', 'trace=openat,write,fsync,'
                                        . 'fdatasync'], sub {
        send_event($fresh, Exam::token(exam => '30', student => 'S003',
                                       gen => 1000), 'first');
    });

    $fresh->nginx->stop('QUIT');
    skip 'processes cannot be traced here', 1 unless @lines;

    my ($order) = join("\n", @lines) =~
        /(openat\([^\n]*\.log", [^\n]*O_EXCL.*fsync\([^\n]*\/journal>.*
          write\([^\n]*first.*fdatasync\([^\n]*\/journal\/)/sx;

    ok defined $order,
        'the first of a file: made, directory synced, written, synced';
}


# ---- calls that fail

for (
    ['write:error=EIO:when=1', 503, 'unavailable', 'a write fails'],
    ['fdatasync:error=EIO:when=1', 503, 'unavailable', 'a sync fails'],
    ['fdatasync:error=EDQUOT', 503, 'journal_full', 'no quota for it'],
) {
    my ($inject, $status, $code, $what) = @$_;
    my ($call) = $inject =~ /^(\w+)/;
    my ($res, $next);
    my $id = "inject-" . ++$n;

    # its other writes wake the event loop, those of other tasks, too
    my ($file) = sort { -M $a <=> -M $b }
                 glob "$spool/journal/*-$worker-*.log";

    my @lines = traced($worker, ['-e', "trace=$call", '-e', "inject=$inject",
                                 $call eq 'write' ? ('-P', $file) : ()],
    sub {
        $res = send_event($api, $token, $id);
        $next = send_event($api, $token, "$id-next");
    });

    SKIP: {
        skip 'processes cannot be traced here', 6 unless @lines;

        is_problem($res, $status, $code, "$what: $status");

        if ($inject =~ /when/) {
            is $next->{status}, 202, "$what: the next one is taken";
            is scalar(grep { $_ eq "$id-next" } ids()), 1, 'and there';
        } else {
            is_problem($next, 503, 'journal_full', "$what: as long as it does");
            ok !(grep { $_ eq "$id-next" } ids()), 'and not there';
        }

        ok((Exam::wait_for {
                send_event($api, $token, $id)->{status} == 202 } 20),
           "$what: then the client gets it through");
        my $lines = grep { $_ eq $id } ids();

        # after a failed sync nobody knows whether it is there already
        ok $call eq 'write' ? $lines == 1 : $lines >= 1, 'and it is there';
        ok $api->metric('journal_errors_total') > 0, 'errors are counted';
    }
}

SKIP: {
    my @lines = traced($worker, ['-e', 'trace=fdatasync', '-e',
                                 'inject=fdatasync:error=EIO:when=1'], sub {
        my ($out) = @_;

        $token = login($api, 'S004');
        Exam::Journal::wait_records($spool, 1, type => 'login',
                                    student => 'S004');
        Exam::wait_for { Exam::slurp($out) =~ /EIO/ };
        $api->beat($token);
    });

    skip 'processes cannot be traced here', 3 unless @lines;

    my %files;

    Exam::wait_for {
        %files = map { $_->{_file} => 1 } Exam::Journal::records($spool,
            type => 'login', student => 'S004');
        return keys %files == 2;
    };

    is scalar(keys %files), 2,
        'a record that nobody waits for is written again, to another file';
    is $api->status->{degraded}[-1], 'journal', 'the node is degraded';
    ok((grep { $_ eq 'journal_errors' } @{ $api->status->{alerts} }),
       'and says so');
}


# ---- a file that cannot grow: a torn line at its end

{
    my $limited = Exam::spew(Exam::dir() . '/limited', <<'END');
#!/bin/sh
exec prlimit --fsize=1048576 "${TEST_NGINX_BINARY:-$EXAM_NGINX}" "$@"
END
    chmod 0755, $limited;
    local $ENV{EXAM_NGINX} = Exam::bin('nginx');

    my $at = Exam::dir() . '/torn';
    my $torn = node(binary => $limited, exam_spool => $at);
    my $mine = login($torn, 'S005');
    my (@taken, @refused);

    for my $i (1 .. 12) {
        my @list = map { { id => "$i-$_", type => 't', data => 'x' x 4000 } }
                   1 .. 50;
        my $res = $torn->post($events, { events => \@list }, $mine);

        push @{ $res->{status} == 202 ? \@taken : \@refused },
            map { $_->{id} } @list;
    }

    ok @refused > 0, 'a limit of the file size: some are refused';
    ok @taken >= 500, 'others are taken, in further files';

    my %there = map { $_ => 1 } ids($at);

    is scalar(grep { !$there{$_} } @taken), 0, 'all that were taken are there';
    ok scalar(grep { !$_->[3] } Exam::Journal::lines($at)) > 0,
        'a line is torn';
    is_deeply [Exam::Journal::bad($at)], [], 'at the end of its file';
    ok scalar(Exam::Journal::records($at, type => 'login')),
        'logins are there, too';
    $torn->nginx->stop('QUIT');
}


# ---- kill -9 while clients send

{
    my $pair = Exam::server(workers => 2,
        http => Exam::http_lines(exam_events_rate => '0'));
    my $storm = Exam::Api->new($pair);
    my $mine = login($storm, 'S006');
    my (@taken, $sent);

    for my $round (1 .. 5) {
        my @socks = map { $storm->connect } 1 .. 20;
        my %id;

        for my $sock (@socks) {
            $id{$sock} = "kill-$round-" . ++$sent;
            $sock->syswrite(raw_request('POST', $events,
                ["Authorization: Bearer $mine"],
                qq({"events":[{"id":"$id{$sock}","type":"t"}]})));
        }

        my ($victim) = $pair->workers;

        # some are answered before, some are not
        my ($first) = $storm->raw('', sock => $socks[0]);
        push @taken, $id{$socks[0]}
            if $first && $first->{status} == 202;
        kill 'KILL', $victim;

        for my $sock (@socks[1 .. $#socks]) {
            my ($res) = $storm->raw('', sock => $sock);
            push @taken, $id{$sock} if $res && $res->{status} == 202;
        }

        Exam::wait_for { my @w = $pair->workers; @w == 2 && "@w" !~ /$victim/ };
    }

    my %there = map { $_ => 1 } ids();

    ok @taken > 0, scalar(@taken) . " of $sent were acknowledged";
    is scalar(grep { !$there{$_} } @taken), 0, 'and are there, whole';
    is_deeply [Exam::Journal::bad($spool)], [], 'no line is no record';
    $pair->stop('QUIT');
}


# ---- a new file after 64 MB

{
    my $at = Exam::dir() . '/long';
    my $long = node(exam_spool => $at, exam_journal_reserve => '0');
    my $mine = login($long, 'S007');
    my $body = '{"events":[' . join(',', map {
        sprintf '{"id":"%%s-%d","type":"t","data":"%s"}', $_, 'x' x 4050
    } 1 .. 50) . ']}';
    my $failed = 0;

    for my $i (1 .. 325) {
        $failed++ if $long->req('POST', $events, {
            Authorization => "Bearer $mine" }, $body =~ s/%s/r$i/gr)
            ->{status} != 202;
    }

    my @sizes = sort { $b <=> $a } map { -s } glob "$at/journal/*.log";

    is $failed, 0, '65 MB of events';
    is scalar(@sizes), 2, 'are two files';
    cmp_ok $sizes[0], '>=', 64 << 20, 'the first with 64 MB';
    cmp_ok $sizes[0], '<', 66 << 20, 'and not much more';
    ok !-e "$at/journal/reserve", 'no reserve where none is wanted';
    $long->nginx->stop('QUIT');
}


# ---- a reserve that cannot be had, but not for want of room

{
    my $at = Exam::dir() . '/odd';

    mkdir $_ for $at, "$at/journal", "$at/journal/reserve";

    my $odd = node(exam_spool => $at);
    my $mine = login($odd, 'S008');

    ok((Exam::wait_for {
            grep { $_ eq 'journal' } @{ $odd->status->{degraded} } }),
       'a reserve that cannot be made: degraded');
    is send_event($odd, $mine, 'odd')->{status}, 202, 'events are taken';
    is $odd->req('PUT', '/api/v1/recordings/screen/0', {
        Authorization => "Bearer $mine", 'Content-Type' => 'video/webm' },
        'x')->{status}, 201, 'and uploads';
    $odd->nginx->stop('QUIT');
}


# ---- a spool that is full

SKIP: {
    my $small = Exam::dir() . '/small';
    mkdir $small;

    skip 'no right to mount', 15
        if system("mount -t tmpfs -o size=8m,mode=0777 tmpfs $small"
                  . ' 2>/dev/null') != 0;

    $mounted = $small;

    my $at = "$small/spool";
    my $full = node(exam_spool => $at, exam_journal_reserve => '2m');
    my $mine = login($full, 'S010');

    ok((Exam::wait_for { -e "$at/journal/reserve" }), 'there is a reserve');

    # an upload that has its room already
    my $sock = $full->connect;
    $sock->syswrite("PUT /api/v1/recordings/screen/0 HTTP/1.1\r\nHost: t\r\n"
        . "Authorization: Bearer $mine\r\nContent-Type: video/webm\r\n"
        . "Content-Length: 100000\r\n\r\n" . 'x' x 50_000);
    ok((Exam::wait_for { glob "$at/part/*/*.part" }), 'an upload is on its way');

    system "dd if=/dev/zero of=$small/filler bs=1k count=8k 2>/dev/null";

    my (@taken, $res);

    for my $i (1 .. 200) {
        $res = send_event($full, $mine, "f$i", 'x' x 4000);
        last if $res->{status} != 202;
        push @taken, "f$i";
    }

    is_problem($res, 503, 'journal_full', 'a full spool refuses events');
    ok !-e "$at/journal/reserve", 'the reserve was given up';

    my %there = map { $_ => 1 } ids($at);
    is scalar(grep { !$there{$_} } @taken), 0, 'what was taken before is there';

    is_problem(($full->raw("POST $events HTTP/1.1\r\nHost: t\r\nAuthorization: "
        . "Bearer $mine\r\nContent-Length: 1000\r\n"
        . "Expect: 100-continue\r\n\r\n"))[0], 503, 'journal_full',
        'before the body is read');
    is $full->post('/api/v1/preflight', 'x' x 1000, $mine)->{status}, 200,
        'a preflight is answered';
    is $full->req('PUT', '/api/v1/recordings/screen/1', {
        Authorization => "Bearer $mine", 'Content-Type' => 'video/webm' },
        'x')->{status}, 507, 'a new upload is refused';
    is $full->status->{degraded}[-1], 'journal', 'degraded';

    my $late = login($full, 'S011');
    $full->logout($late);
    $sock->syswrite('x' x 50_000);
    is +($full->raw('', sock => $sock))[0]{status}, 201,
        'the upload that had its room is taken';

    my $sid = claims_of($late)->{sid};
    is_deeply [map { $_->{type} } Exam::Journal::wait_records($at, 2,
               session => $sid)], ['login', 'end'],
        'login and logout are written, from the reserve';
    is scalar(Exam::Journal::wait_records($at, 1, type => 'receipt')), 1,
        'and the receipt';

    unlink "$small/filler";

    ok((Exam::wait_for {
            send_event($full, $mine, 'again')->{status} == 202 } 20),
       'with room again events are taken, without a restart');
    ok -e "$at/journal/reserve", 'and the reserve is back';
    ok !(grep { $_ eq 'journal_full' } @{ $full->status->{alerts} }),
        'no alert any more';
    $full->nginx->stop('QUIT');
}

END {
    system "umount -l $mounted" if defined $mounted;
}

done_testing;
