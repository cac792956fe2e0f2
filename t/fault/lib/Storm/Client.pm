package Storm::Client;

# The clients of the storm, a process each.  What a client was promised, and
# what it did not expect, it writes into a file of its own, a line each:
#
#   ack SESSION KIND N SHA256    201 or 200: stored for ever
#   maybe SESSION KIND N SHA256  sent, and neither acknowledged nor a conflict
#   event SESSION ID             202
#   acked STUDENT ID             a 200 to a heartbeat that acknowledges ID
#   session STUDENT SESSION GEN  a login
#   logout STUDENT SESSION MS    a 200 to a logout
#   sent ID STUDENT TYPE SECONDS a command that examctl has taken
#   count WHAT                   anything else that is worth a figure
#   finding TEXT
#
# A client that is well-behaved repeats until it is answered with success; what
# else it may be told meanwhile is said at each request.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256 sha256_hex);
use IO::Handle;
use IO::Select;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use Time::HiRes qw(alarm sleep time);

use Exam;
use Exam::Wire;

our (@Pids, %Kind);

my $json = JSON::PP->new->canonical->utf8;
my $put = '/api/v1/recordings/screen/';


# Starts one: kind, student, code, seed; kind names the function below.

sub begin {
    my ($kind, %client) = @_;

    my $parent = $$;
    my $c = bless { %client, kind => $kind, parent => $parent }, __PACKAGE__;
    my $pid = fork // die "fork: $!\n";

    if ($pid) {
        push @Pids, $pid;
        return $Kind{$pid} = $kind;
    }

    $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
    $SIG{PIPE} = 'IGNORE';
    srand $c->{seed};
    open $c->{log}, '>', Exam::dir() . "/told.$kind.$$" or die "told: $!\n";
    $c->{log}->autoflush(1);

    eval { $c->$kind; 1 } or $c->tell("finding $kind: " . ($@ =~ s/\n//gr));
    POSIX::_exit(0);
}


# All lines that were told: [word, word, ...]

sub told {
    return map { [split / /, $_] } map { split /\n/, Exam::slurp($_) }
           glob Exam::dir() . '/told.*';
}


sub tell {
    my ($c, $text) = @_;

    print { $c->{log} } "$text\n" or die "told: $!\n";
}


# Is it time to end?  now: at once.

sub over {
    my ($c, $how) = @_;

    die "the storm has ended\n" if getppid() != $c->{parent};
    return -e Exam::dir() . '/stop' . ($how ? ".$how" : '');
}


# ---- requests

sub wire {
    my ($c) = @_;

    return $c->{wire} //= Exam::Wire->new($c->{server});
}


sub head {
    my ($c, $method, $path, $length, %field) = @_;

    my $token = exists $field{token} ? delete $field{token} : $c->{token};

    return $c->wire->head($method, $path, [
        $token ? (Authorization => "Bearer $token") : (),
        defined $length ? ('Content-Length' => $length) : (), %field ]);
}


# Calls the function with a limit of time; undef when the connection failed.
# Connections last for some requests.

sub attempt {
    my ($c, $code) = @_;

    my $res = eval {
        local $SIG{ALRM} = sub { die "no answer\n" };

        alarm 60;
        my $r = $code->();
        alarm 0;
        $r;
    };

    alarm 0;
    delete $c->{wire} if !$res || rand() < 0.1
        || ($res->{headers}{connection} // '') eq 'close';

    $c->tell('count no answer') unless $res;
    return $res;
}


sub request {
    my ($c, $method, $path, $body, %field) = @_;

    $body = $json->encode($body) if ref $body;

    return $c->attempt(sub {
        $c->head($method, $path, $method eq 'GET' ? undef : length $body,
                 %field);
        $c->wire->send($body) if length($body // '');
        return $c->wire->response;
    });
}


# Notes an answer; one that was not expected is a finding.  Returns whether it
# is the first of what is expected.

sub expected {
    my ($c, $what, $res, @status) = @_;

    return 0 unless $res;

    my $told = "$what $res->{status} " . ($res->{code} // '-');

    $c->tell(grep({ $_ == $res->{status} } @status) ? "count $told"
             : 'finding ' . Storm::clock() . " $told");
    return $res->{status} == $status[0];
}


sub pause { sleep rand $_[1] }


sub login {
    my ($c) = @_;

    for ( ;; ) {
        my $res = $c->request(POST => '/api/v1/login',
            { exam => $Storm::Exam, student => $c->{student},
              code => $c->{code} }, token => undef);

        if ($c->expected('login', $res, 200, 503)) {
            @$c{qw(token sid gen)} = @{ $res->{json} }{qw(token session gen)};
            $c->{n} = 0;
            $c->{seq} = 0;
            $c->tell("session $c->{student} $c->{sid} $c->{gen}");
            return 1;
        }

        return 0 if $c->over('now');
        $c->pause(1);
    }
}


sub logout {
    my ($c) = @_;

    until ($c->over('now')) {
        my $res = $c->request(POST => '/api/v1/logout', { recorded => {
            screen => $c->{n} - 1 } });

        # the session of an answer that did not arrive has ended
        if ($c->expected('logout', $res, 200, 403)
            || $res && ($res->{code} // '') eq 'session_ended')
        {
            $c->tell("logout $c->{student} $c->{sid} " . Exam::now_ms());
            return 1;
        }

        $c->pause(1);
    }

    return 0;
}


# ---- uploads

sub uploader {
    my ($c) = @_;

    my @lies = qw(vanish unread hang crawl long short wrong_digest token foreign
                  type empty twice);

    $c->login or return;

    until ($c->over) {
        my $n = $c->{n}++;
        my $body = pack('a64 a32 N2', @$c{qw(student sid)}, $n,
                        rand 2 ** 32) x (96 + rand 1824);

        if (rand() < 0.2) {
            my $lie = $lies[rand @lies];

            $c->tell("count client $lie");
            $c->$lie($n, \$body);
            delete $c->{wire};
        }

        $c->upload($n, $body) or last;
        $c->twice_other(int rand $n + 1, $body) if rand() < 0.03;
        $c->again if rand() < 0.02;
        $c->pause(1.6);
    }
}


# Until it is acknowledged.

sub upload {
    my ($c, $n, $body, %opt) = @_;

    my $sha256 = sha256_hex($body);
    my $sid = $opt{session} // $c->{sid};
    my $path = $put . $n . ($opt{session} ? "?session=$sid" : '');
    my %digest = rand() < 0.3 ? ('Content-Digest' => digest($body)) : ();

    until ($c->over('now')) {
        my $res = $c->request(PUT => $path, $body, %digest,
                              'Content-Type' => 'video/webm');

        if ($c->expected('upload', $res, 201, 200, 503, 507)
            || $res && $res->{status} == 200)
        {
            my $said = $res->{json}{sha256} // 'none';

            $c->tell("finding upload of $sha256 is said to be $said")
                if $said ne $sha256;
            $c->tell("ack $sid screen $n $sha256");
            return 1;
        }

        $c->pause(0.5);
    }

    $c->tell("maybe $sid screen $n $sha256");
    return 0;
}


sub digest {
    return 'sha-256=:' . encode_base64(sha256($_[0]), '') . ':';
}


sub begin_put {
    my ($c, $n, $length, %field) = @_;

    delete $c->{wire};
    return $c->head(PUT => $put . $n, $length,
                    'Content-Type' => 'video/webm', %field);
}


# Gone in the middle of the body.

sub vanish {
    my ($c, $n, $body) = @_;

    $c->attempt(sub {
        $c->begin_put($n, length $$body);
        $c->wire->send(substr $$body, 0, rand length $$body);
        $c->pause(0.3);
        return;
    });
}


# Gone before the answer.

sub unread {
    my ($c, $n, $body) = @_;

    $c->attempt(sub {
        $c->begin_put($n, length $$body);
        $c->wire->send($$body);
        $c->pause(0.3);
        return;
    });
}


# Silent in the middle for seconds, then on.

sub hang {
    my ($c, $n, $body) = @_;

    my $half = int(length($$body) / 2);

    $c->slowly($n, substr($$body, 0, $half), 1 + rand 5,
               substr $$body, $half);
}


# A few bytes now and then.

sub crawl {
    my ($c, $n, $body) = @_;

    $$body = substr $$body, 0, 1000;
    $c->slowly($n, map { ($_, 0.25) } unpack '(a50)*', $$body);
}


sub slowly {
    my ($c, $n, @pieces) = @_;

    my $length = 0;

    for my $i (0 .. $#pieces) {
        $length += length $pieces[$i] if $i % 2 == 0;
    }

    my $res = $c->attempt(sub {
        $c->begin_put($n, $length);

        while (@pieces) {
            $c->wire->send(shift @pieces) or last;
            sleep(shift(@pieces) // 0);
        }

        return $c->wire->response;
    });

    $c->expected('slow upload', $res, 201, 200, 408, 503, 507);
}


# More announced than there is: never whole.

sub long {
    my ($c, $n, $body) = @_;

    my $res = $c->attempt(sub {
        $c->begin_put($n, 1 + length $$body);
        $c->wire->send($$body);
        $c->wire->{sock}->shutdown(1);
        return $c->wire->response;
    });

    $c->expected('long upload', $res, 400, 503, 507);
}


# Less announced than there is: that much is the segment from then on.

sub short {
    my ($c, $n, $body) = @_;

    my $whole = $$body;

    $$body = substr $whole, 0, length($whole) / 2;

    my $res = $c->attempt(sub {
        $c->begin_put($n, length $$body);
        $c->wire->send($whole);
        return $c->wire->response;
    });

    $c->expected('short upload', $res, 201, 503, 507);
}


sub lie {
    my ($c, $what, $n, $body, $statuses, %field) = @_;

    $c->expected("upload with $what",
        $c->request(PUT => $put . $n, $body, 'Content-Type' => 'video/webm',
                    %field), @$statuses, 503, 507);
}


sub wrong_digest {
    my ($c, $n, $body) = @_;

    $c->lie('wrong digest', $n, $$body, [422],
            'Content-Digest' => digest("other $$body"));
}


sub token {
    my ($c, $n, $body) = @_;

    my $token = $c->{token};

    substr $token, -5, 1, substr($token, -5, 1) eq 'A' ? 'B' : 'A';
    $c->lie('wrong token', $n, $$body, [401], token => $token);
}


sub foreign {
    my ($c, $n, $body) = @_;

    my $sid = Exam::sid($Storm::Exam, 'somebody', $n);

    $c->lie("another's session", "$n?session=$sid", $$body, [403, 404]);
}


sub type {
    my ($c, $n, $body) = @_;

    $c->lie('wrong type', $n, $$body, [415], 'Content-Type' => 'text/html');
}


sub empty {
    my ($c, $n) = @_;

    $c->lie('no body', $n, '', [422]);
}


# The same twice at the same time, on two connections.

sub twice {
    my ($c, $n, $body) = @_;

    my $other = bless { %$c }, ref $c;

    delete $other->{wire};

    $c->attempt(sub {
        for my $at ($c, $other) {
            $at->begin_put($n, length $$body);
        }

        $_->wire->send($$body) for $c, $other;

        for my $at ($c, $other) {
            $at->expected('parallel upload', $at->wire->response, 201, 200,
                          503, 507);
        }

        return;
    });
}


# A number that was acknowledged, with other content: a conflict, or, where
# nothing knows of the first one at the moment, a variant.  The body is that of
# another number.

sub twice_other {
    my ($c, $n, $body) = @_;

    my $other = "other $body";
    my $sha256 = sha256_hex($other);
    my $res = $c->request(PUT => $put . $n, $other,
                          'Content-Type' => 'video/webm');

    $c->tell('count client other content');
    $c->expected('other content', $res, 409, 201, 503, 507);
    $c->tell(($res && $res->{status} == 201 ? 'ack' : 'maybe')
             . " $c->{sid} screen $n $sha256")
        unless $res && $res->{status} == 409;
}


# A new session, after a logout or over the old one; what the old one had not
# sent comes by its own token, or by the new one.

sub again {
    my ($c) = @_;

    delete $c->{wire};

    my %old = %$c;

    $c->logout if rand() < 0.5;
    $c->login or return;

    my $body = "left over of $old{sid}" x 1000;
    my $by_new = rand() < 0.5;
    my $at = $by_new ? $c : bless { %old }, ref $c;

    $at->upload($old{n}, $body, $by_new ? (session => $old{sid}) : ());
}


# ---- events

sub poster {
    my ($c) = @_;

    $c->login or return;

    until ($c->over) {
        my @ids = map { 'e' . $c->{id}++ } 0 .. rand 5;
        my $body = { events => [map { { id => $_, type => 'storm',
            client_time => Exam::now_ms(), data => { text => "of $_" } } }
            @ids] };

        $c->expected('broken events', $c->request(POST => '/api/v1/events',
            '{"events":[{"id":"x","type":'), 400, 503) if rand() < 0.05;

        until ($c->over('now')) {
            my $res = $c->request(POST => '/api/v1/events', $body);

            if ($c->expected('events', $res, 202, 503)) {
                $c->tell("event $c->{sid} $_") for @ids;
                last;
            }

            $c->pause(0.5);
        }

        $c->pause(0.6);
    }
}


# ---- heartbeats, and the commands in them

# Loses three in ten of the replies.  Runs an id once, acknowledges it each
# time it is seen.  Goes on until everybody else is through.

sub beater {
    my ($c) = @_;

    my (%seen, @ack, @missed);

    $c->login or return;

    until ($c->over('beats')) {
        my $body = { seq => ++$c->{seq}, client_time => Exam::now_ms(),
                     state => { recorder => 'running',
                                queued_segments => $c->{seq} % 7 },
                     @ack ? (ack => [@ack]) : (),
                     @missed ? (missed => [@missed]) : () };
        my $at = Exam::now_ms();

        if (rand() < 0.3 && !$c->over) {
            $c->beat_unread($body);
            push @missed, { seq => $c->{seq}, client_time => $at };
            next;
        }

        $c->expected('broken heartbeat', $c->request(POST =>
            '/api/v1/heartbeat', '{"seq":1,,}'), 400) if rand() < 0.03;

        my $res = $c->request(POST => '/api/v1/heartbeat', $body);

        if ($c->expected('heartbeat', $res, 200)) {
            $c->tell("acked $c->{student} $_") for splice @ack;
            @missed = ();

            for my $command (@{ $res->{json}{commands} }) {
                $c->tell("ran $c->{student} $command->{id}")
                    unless $seen{$command->{id}}++;
                push @ack, $command->{id};
            }
        } else {
            push @missed, { seq => $c->{seq}, client_time => $at };
        }

        shift @missed while @missed > 20;
        sleep 0.6 + rand 0.5;
    }

    my $me = $c->request(GET => '/api/v1/me');

    $c->expected('last me', $me, 200);
    $c->tell("status $c->{student} " . ($me->{json}{status}{locked} ? 1 : 0));
}


sub beat_unread {
    my ($c, $body) = @_;

    $c->tell('count heartbeat unread');

    eval {
        local $SIG{ALRM} = sub { die "no answer\n" };
        my $text = $json->encode($body);

        alarm 60;
        $c->head(POST => '/api/v1/heartbeat', length $text);
        $c->wire->send($text);
        IO::Select->new($c->wire->{sock})->can_read(5);
    };

    alarm 0;
    delete $c->{wire};
    sleep 0.6 + rand 0.5;
}


# ---- who comes and goes

sub visitor {
    my ($c) = @_;

    until ($c->over) {
        $c->login or return;

        for (0 .. rand 4) {
            my $res = $c->request(POST => '/api/v1/heartbeat',
                                  { seq => $c->{seq}++ });
            $c->expected('heartbeat', $res, 200);
            $c->expected('me', $c->request(GET => '/api/v1/me'), 200);
            $c->pause(1.5);
        }

        $c->logout if rand() < 0.7;

        $c->expected('wrong code', $c->request(POST => '/api/v1/login',
            { exam => $Storm::Exam, student => $c->{student},
              code => '0000-0000-0000-0000' }, token => undef),
            401, 429, 503) if rand() < 0.2;
        $c->pause(2);
    }
}


# ---- staff

# Commands by examctl, each with a key: repeated until it says yes.

sub staff {
    my ($c) = @_;

    my ($key, %locked) = (0);
    my $ini = Exam::dir() . '/exam.ini';

    until ($c->over || $key >= 220) {
        my $to = $c->{beaters}[rand @{ $c->{beaters} }];
        my $seconds = 1 + int rand 60;
        my $type = rand() < 0.6 ? 'message' : rand() < 0.5 ? 'extra_time'
                 : ($locked{$to} ^= 1) ? 'lock' : 'unlock';
        my @payload = $type eq 'message' ? '{"text":"Ten minutes left."}'
            : $type eq 'extra_time' ? qq({"seconds":$seconds}) : ();
        my @cmd = (Exam::bin('examctl'), '--config', $ini, 'command', 'send',
            $Storm::Exam, '--to', $to, '--type', $type, '--expires', '3h',
            '--json', '--key', 'k' . ++$key,
            @payload ? ('--payload', $payload[0]) : ());

        until ($c->over('now')) {
            my ($rc, $out) = command(@cmd);
            my ($id) = $out =~ /"id":\s*(\d+)/;

            if ($rc == 0 && $id) {
                $c->tell("sent $id $to $type "
                         . ($type eq 'extra_time' ? $seconds : 0));
                last;
            }

            # 4: busy, 5: away
            $c->tell($rc == 4 || $rc == 5 ? "count command exit $rc"
                     : "finding command send: exit $rc: "
                       . $out =~ s/\s+/ /gr);
            sleep 1;
        }

        sleep 1 + rand 6;
    }
}


sub command {
    my (@cmd) = @_;

    my $pid = open(my $from, '-|') // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec @cmd or POSIX::_exit(127);
    }

    local $/;
    my $out = <$from> // '';

    close $from;
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $out);
}


1;
