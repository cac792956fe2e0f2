# The table "What is away, and what is answered" (design, section 4), cell by
# cell: each subtest is named after its cell.

use strict;
use warnings;

use lib 't/lib';

use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Exam;
use Exam::Api qw(claims_of is_problem);
use Exam::Journal qw(journal_parse);
use Exam::Process;
use Exam::Trace;
use Exam::Wire;

$SIG{PIPE} = 'IGNORE';

my $code = $Exam::Api::Code;
my $dir = Exam::dir();
my $redis = Exam::redis(aof => 1);
my (%n, $student, @mounted, @daemons);

my @students = map { sprintf 'S%03d', $_ } 1 .. 99;

Exam::load_exam('30', students => { map { $_ => { code => $code } }
                                    @students });

my @allow = (qr/exam redis/, qr/exited on signal 9/, qr/No space left/,
             qr/exam journal/, qr/exam \w+\(\) for upload/);

sub node {
    my (%change) = @_;

    return Exam::Api->new(Exam::server(workers => 1, allow => \@allow,
                                       http => Exam::http_lines(exam_heartbeat_rate => '0', %change)));
}

# a student that has no session yet, and one that has

sub fresh { return $students[$student++] }

sub session {
    my ($api) = @_;

    return $api->logged_in('30', fresh())->{token};
}

sub fields {
    my ($token, $body, @more) = @_;

    return [Authorization => "Bearer $token", 'Content-Type' => 'video/webm',
            'Content-Length' => length $body, @more];
}

sub put {
    my ($api, $token, $body, @more) = @_;

    my $c = Exam::Wire->new($api->nginx);

    $c->head(PUT => '/api/v1/recordings/screen/' . $n{$token}++,
             fields($token, $body, @more));
    $c->send($body) unless @more;
    return $c->response;
}

my $event = 0;

sub events {
    my ($api, $token, $id) = @_;

    return $api->post('/api/v1/events', { events => [
        { id => $id // 'e' . $event++, type => 'test' }] }, $token);
}

sub journaled {
    my ($spool, $id) = @_;

    return scalar grep { $_->{type} eq 'event' && $_->{id} eq $id }
                  map { journal_parse($_) } glob "$spool/journal/*.log";
}

# one row of the table: a name and a subtest for each column

sub row {
    my ($away, %cell) = @_;

    for my $column ('heartbeat', 'login', 'upload', 'events', 'me, logout') {
        subtest "$away: $column" => $cell{$column};
    }
}

# what is answered as if nothing were away

sub usual {
    my ($api, $token) = @_;

    return (
        heartbeat => sub { is($api->beat($token)->{status}, 200, 'answered with 200') },
        login => sub {
            is($api->login('30', fresh())->{status}, 200, 'answered with 200');
        },
        upload => sub {
            is(put($api, $token, 'x' x 1000)->{status}, 201, 'answered with 201');
        },
        events => sub { is(events($api, $token)->{status}, 202, 'answered with 202') },
        'me, logout' => sub {
            is($api->me($token)->{status}, 200, 'me: 200');
            is($api->logout($token)->{status}, 200, 'logout: 200');
        },
    );
}


# ---- Redis

{
    my $api = node();
    my $token = session($api);
    my $sid = claims_of($token)->{sid};

    Exam::redis_cmd('HSET', 'exam:{30}:stored', "S001:$sid:screen", 5);
    ok(Exam::wait_for { $api->beat($token)->{json}{stored}{screen} == 5 },
       'something is stored');

    my $cold = Exam::token(exam => '30', student => 'S050', gen => 5,
                           sid => Exam::sid('30', 'S050', 5));
    $n{$token} = 6;
    $redis->stop;

    row('Redis', usual($api, $token),
        heartbeat => sub {
            my $res = $api->beat($token);

            is($res->{status}, 200, 'answered with 200');
            is($res->{json}{stored}{screen}, 5, 'stored is the last known');
            is_deeply($res->{json}{commands}, [], 'no newer commands');
            is($api->beat($cold)->{json}{stored}{screen}, undef,
               'null where nothing is known');
        },
        login => sub {
            my $res = $api->login('30', fresh());

            is_problem($res, 503, 'redis_unavailable', 'answered with 503');
            ok($res->{headers}{'retry-after'}, 'and when to come again');
        },
        'me, logout' => sub {
            my $res = $api->me($token);

            is($res->{status}, 200, 'me: 200');
            is_deeply($res->{json}{degraded}, ['redis'], 'me: degraded');

            $res = $api->logout($token, { recorded => { screen => 6 } });
            is($res->{status}, 200, 'logout: 200');
            is_deeply($res->{json}{degraded}, ['redis'], 'logout: degraded');
        });

    $redis = Exam::Process->redis(dir => "$dir/redis", aof => 1);
    { local $SIG{__WARN__} = sub { };
      eval { Exam::redis_cmd('PING') } for 1, 2; }

    ok(Exam::wait_for { $api->login('30', fresh())->{status} == 200 },
       'Redis is back: logins again');
    $api->nginx->stop('QUIT');
}


# ---- MySQL and the worker

SKIP: {
    my $mysql = Exam::mysql();
    my ($rc, $out, $err) = Exam::examctl('migrate');

    is($rc, 0, 'the tables are there') or diag $err;

    my $worker = Exam::worker();
    my $api = node();
    my $token = session($api);

    my $row = sub {
        my ($count) = $mysql->sql('SELECT COUNT(*) FROM exam.recordings '
            . "WHERE session = '" . claims_of($token)->{sid} . "'");
        return $count->[0];
    };

    is(put($api, $token, 'before')->{status}, 201, 'an upload before');
    ok(Exam::wait_for { $row->() == 1 }, 'is in the table');

    $worker->stop('KILL');
    $mysql->stop('KILL');

    row('MySQL, worker', usual($api, $token));

    my $back = Exam::Process->mysql(dir => "$dir/mysql");
    $mysql = $back;
    $worker = Exam::worker();

    ok((Exam::wait_for { (eval { $row->() } // 0) == 2 } 30),
       'and drains by itself');
    $worker->stop;
    $api->nginx->stop('QUIT');
}


# ---- a spool that is full, on a file system of its own

SKIP: {
    my $small = "$dir/small";
    mkdir $small;

    skip 'no right to mount', 5
        if system("mount -t tmpfs -o size=6m,mode=0777 tmpfs $small"
                  . ' 2>/dev/null') != 0;

    push @mounted, $small;

    my $api = node(exam_spool => "$small/spool",
                   exam_journal_reserve => '512k');
    my $token = session($api);

    is(events($api, $token)->{status}, 202, 'events while there is room');

    open my $fill, '>', "$small/fill" or die "fill: $!\n";
    1 while syswrite $fill, 'x' x 4096;

    row('spool full', usual($api, $token),
        upload => sub {
            my $res = put($api, $token, 'x' x 100_000,
                          Expect => '100-continue');

            is($res->{status}, 507, 'answered with 507');
            is($res->{code}, 'disk_full', 'disk_full');
            is($res->{continued}, 0, 'before the body');
        },
        events => sub {
            my ($id, $res, @taken) = ('f000');

            # a page that is begun may still hold some

            for (1 .. 200) {
                $res = events($api, $token, ++$id);
                last if $res->{status} != 202;
                push @taken, $id;
            }

            is_problem($res, 503, 'journal_full', 'answered with 503');
            ok($res->{headers}{'retry-after'}, 'and when to come again');
            is(scalar(grep { journaled("$small/spool", $_) != 1 } @taken), 0,
               'what was taken is in the journal');
            is(journaled("$small/spool", $id), 0, 'what was refused is not');
        });

    my $new = $students[$student - 1];

    ok(Exam::wait_for {
           grep { $_->{type} eq 'login' && $_->{student} eq $new }
           map { journal_parse($_) } glob "$small/spool/journal/*.log";
       }, 'a login is written, from the reserve');

    close $fill;
    unlink "$small/fill";

    my $again = session($api);

    ok((Exam::wait_for { events($api, $again)->{status} == 202 } 30),
       'there is room again: events');
    is(put($api, $again, 'x' x 100_000)->{status}, 201, 'and uploads');
    $api->nginx->stop('QUIT');
}


# ---- a spool that takes a second for each sync

SKIP: {
    my $api = node();
    my $token = session($api);
    my ($worker) = $api->nginx->workers;

    # the pool's threads exist once there was work for them
    put($api, $token, 'first');
    events($api, $token);

    my $strace = trace_begin($worker, '-q', '-o', '/dev/null',
        '-e', 'trace=fdatasync,fsync',
        '-e', 'inject=fdatasync,fsync:delay_enter=1000000');

    skip 'processes cannot be traced here', 5 unless $strace;

    # what waits for the disk is begun, and answered after all the others

    my $upload = Exam::Wire->new($api->nginx);
    my $written = Exam::Wire->new($api->nginx);
    my $body = '{"events":[{"id":"slow","type":"test"}]}';

    $upload->head(PUT => "/api/v1/recordings/screen/$n{$token}",
                  fields($token, 'x' x 1000));
    $upload->send('x' x 1000);
    $written->head(POST => '/api/v1/events',
                   [Authorization => "Bearer $token",
                    'Content-Length' => length $body]);
    $written->send($body);

    row('spool slow', usual($api, $token),
        heartbeat => sub {
            is($api->beat($token)->{status}, 200, 'answered with 200') for 1 .. 20;

            ok(!IO::Select->new($upload->{sock})->can_read(0)
               && !IO::Select->new($written->{sock})->can_read(0),
               'without a wait for the disk');
        },
        upload => sub {
            is($upload->response->{status}, 201, '201, late');
        },
        events => sub {
            is($written->response->{status}, 202, '202, late');
            is(journaled(Exam::spool(), 'slow'), 1, 'in the journal');
        });

    trace_end($strace);
    $api->nginx->stop('QUIT');
}


# ---- a zone full of live sessions

{
    my $api = node(exam_zone => 'full:1m');
    my $n = 0;

    my $cold = sub {
        my ($student) = @_;

        return Exam::token(exam => '30', student => $student, gen => 1,
                           sid => Exam::sid('30', $student, 1));
    };

    do { $api->beat($cold->('F' . ++$n)) for 1 .. 50; }
        until $api->metric('zone_full_total') || $n > 5000;

    row('zone full of live sessions', usual($api, $cold->('OUT')),
        login => sub {
            is_problem($api->login('30', fresh()), 503, 'overloaded', 'answered with 503');
        });

    $api->nginx->stop('QUIT');
}


# ---- a worker process that is killed in the middle of a request

{
    my $api = node();
    my $token = session($api);
    my $new = fresh();

    my %request = (
        heartbeat => [POST => '/api/v1/heartbeat', '{"seq":77}', $token],
        login => [POST => '/api/v1/login',
                  qq({"exam":"30","student":"$new","code":"$code"})],
        upload => [PUT => '/api/v1/recordings/screen/40', 'x' x 50_000,
                   $token],
        events => [POST => '/api/v1/events',
                   '{"events":[{"id":"killed","type":"test"}]}', $token],
        'me, logout' => [POST => '/api/v1/logout', '{"recorded":{}}', $token],
    );

    my $begin = sub {
        my ($method, $path, $body, $token) = @_;
        my $c = Exam::Wire->new($api->nginx);

        $c->head($method, $path,
                 [$token ? (Authorization => "Bearer $token") : (),
                  'Content-Type' => 'video/webm',
                  'Content-Length' => length $body]);
        return $c;
    };

    # a session without anything was not refused: the client comes again

    row('worker process killed', map {
        my ($column, $r) = ($_, $request{$_});

        $column => sub {
            my ($worker) = $api->nginx->workers;
            my $c = $begin->(@$r);

            $c->send(substr $r->[2], 0, int(length($r->[2]) / 2));
            sleep 0.1;
            kill 'KILL', $worker;
            is($c->response, undef, 'the connection is reset');

            my $res;

            Exam::wait_for {
                $c = $begin->(@$r);
                $c->send($r->[2]);
                $res = eval { $c->response };
                return $res && $res->{status} != 503;
            } 20;

            is($res->{status}, { login => 200, upload => 201, events => 202 }
                               ->{$column} // 200, 'and the client retries');
            is(journaled(Exam::spool(), 'killed'), 1, 'counted once')
                if $column eq 'events';
        };
    } keys %request);

    $api->nginx->stop('QUIT');
}


# ---- reload and binary upgrade

sub goes_on {
    my ($what, $api, $token, $change) = @_;

    my $body = 'y' x 300_000;
    my $upload = Exam::Wire->new($api->nginx);
    my $failed = 0;

    $upload->head(PUT => '/api/v1/recordings/camera/0',
                  fields($token, $body));
    $upload->send(substr $body, 0, 100_000);

    $change->(sub { $failed++ if $api->beat($token)->{status} != 200 });

    row($what, usual($api, $token),
        heartbeat => sub {
            is($failed, 0, '200 all the time');
            is($api->beat($token)->{status}, 200, 'and afterwards');
        },
        upload => sub {
            $upload->send(substr $body, 100_000);
            is($upload->response->{status}, 201, 'goes on');
        });
}

{
    my $api = node();

    goes_on('reload', $api, session($api), sub {
        my ($beat) = @_;
        my %old = map { $_ => 1 } $api->nginx->workers;

        kill 'HUP', $api->nginx->pid;

        ok(Exam::wait_for {
               $beat->();
               my @now = $api->nginx->workers;
               return @now && !grep { $old{$_} } @now;
           }, 'new processes serve');
    });

    # only a daemon lets itself be replaced

    my $nginx = $api->nginx;
    my $conf = "$nginx->{dir}/nginx.conf";
    my $pid_file = "$nginx->{dir}/nginx.pid";

    $nginx->stop('QUIT');
    Exam::spew($conf, Exam::slurp($conf) =~ s/daemon off/daemon on/r);
    is(system($ENV{TEST_NGINX_BINARY}, '-p', "$nginx->{dir}/", '-c', $conf,
              '-e', $nginx->{error_log}), 0, 'nginx as a daemon');

    my $pid = sub { return (Exam::slurp($pid_file) =~ /^(\d+)$/)[0] };

    Exam::wait_for { -s $pid_file };
    my $old = $nginx->{pid} = $pid->();
    push @daemons, $old;

    my $token;
    Exam::wait_for { $token = eval { session($api) } };

    goes_on('binary upgrade', $api, $token, sub {
        my ($beat) = @_;

        kill 'USR2', $old;

        ok((Exam::wait_for {
               $beat->();
               -s $pid_file && $pid->() != $old;
           } 20), 'a new master is there');
        push @daemons, $pid->();

        kill 'WINCH', $old;
        $beat->() for 1 .. 50;
    });
}

done_testing();

END {
    local $?;

    kill 'QUIT', @daemons;
    Exam::wait_for { !grep { kill 0, $_ } @daemons } 10;

    system "umount -l $_" for @mounted;
}
