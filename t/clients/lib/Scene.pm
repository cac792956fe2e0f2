package Scene;

# A whole stack with two worker processes of nginx, the network before it, and
# what is looked at in every upload: that it went on where it was broken off,
# and that what is stored has the hash of what was sent.
#
#   my $scene = Scene->new(students => ['S001'], cors => 'http://...');
#   my $up = $scene->begin($client, by => 'uppy', size => 16_000_000);
#   ...
#   $scene->finished($up, 'what was done to it');

use strict;
use warnings;

use Digest::SHA ();
use File::Path qw(make_path);
use JSON::PP ();
use Test::More;

use Exam;
use Exam::Api qw(claims_of);
use Exam::Process;
use Clients;
use Proxy;

# where a client is stopped, far from both ends of its file
our $Middle = 3_000_000;

# what nginx must have written by then: its buffers may hold the rest
our $Least = 1_000_000;

my $count = 0;


sub new {
    my ($class, %opt) = @_;

    my $self = bless { n => 0, student => 'S001' }, $class;

    Exam::redis();
    $opt{stored} ? $self->_roster : Exam::load_exam('30',
        students => { S001 => { code => $Exam::Api::Code } });

    my $http = Exam::http_lines($opt{cors}
        ? (exam_cors_origin => $opt{cors}) : ());

    $self->{nginx} = Exam::server(workers => 2, http => $http,
                                  allow => [qr/signal 9/]);
    $self->{api} = Exam::Api->new($self->{nginx});
    $self->{net} = Proxy->new($self->{nginx});
    $self->{token} = $self->{api}->logged_in('30', 'S001')->{token};

    return $self;
}


# An exam as exam-worker brings it to Redis, and exam-worker.

sub _roster {
    my ($self) = @_;

    require Spool;

    my $mysql = $self->{mysql} = Exam::mysql();

    Spool::tables($mysql);
    $mysql->sql('INSERT INTO students (exam, student, name, code_sha256,'
        . " created_at) VALUES ('30', 'S001', 'N', UNHEX('"
        . Exam::code_hash('30', 'S001', $Exam::Api::Code) . "'), 1)");

    $self->{worker} = Exam::worker();

    Exam::wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20
        or die "exam-worker does not load Redis\n";
}


# A real recording of some 17 MB, made once.

sub video {
    my $file = "$Clients::Dir/video.mp4";

    unless (-e $file) {
        make_path($Clients::Dir);

        my ($rc, undef, $err) = Exam::run('ffmpeg', '-nostdin', '-v', 'error',
            '-f', 'lavfi', '-i', 'testsrc2=size=640x480:rate=25:duration=2,'
            . 'noise=alls=60:allf=t', '-c:v', 'mpeg4', '-q:v', 3, '-threads',
            2, '-f', 'mp4', '-y', "$file.$$");

        die "ffmpeg: $err\n" if $rc != 0;
        rename "$file.$$", $file or die "rename: $!\n";
    }

    return $file;
}


sub hash_of { return Digest::SHA->new(256)->addfile($_[0], 'b')->hexdigest }


# ---- uploads

# The client begins the next segment.  Options as of its commands; `kind` and
# `n` are given here.

sub begin {
    my ($self, $client, %opt) = @_;

    my $up = {
        client => $client, id => $opt{id} // 'u' . ++$count,
        kind => $opt{kind} // 'screen', n => $opt{n} // $self->{n}++,
        from => $client->{events} ? scalar @{ $client->{events} } : 0,
    };

    $opt{file} //= video() unless $opt{size};
    $up->{sha256} = hash_of($opt{file}) if $opt{file};

    $client->tell(
        do => 'start', endpoint => $self->{net}->url . '/api/v1/uploads',
        token => $self->{token}, %opt, id => $up->{id},
        metadata => { kind => $up->{kind}, n => "$up->{n}",
                      filetype => $opt{size} ? 'video/webm' : 'video/mp4' });

    $up->{sha256} = $client->happened($up->{id}, 'made')->{sha256}
        if $opt{size};

    return $up;
}


# The same, stopped in the middle: the worker process that has it.

sub begin_and_stop {
    my ($self, $client, %opt) = @_;

    $self->{net}->hold($Middle);

    my $up = $self->begin($client, %opt);

    ok($self->{net}->held, "$opt{name}: it has begun");
    $self->arrived($up);
    ($up->{holder}) = $self->{net}->holders;
    $up->{ports} = $self->{net}->state->{ports};

    return $up;
}


# The worker process that has it is killed: its connections are gone.

sub kill_holder {
    my ($self, $up) = @_;

    kill 'KILL', $up->{holder};

    Exam::wait_for {
        my %there = map { $_ => 1 } @{ $self->{net}->state->{ports} };
        return !grep { $there{$_} } @{ $up->{ports} };
    } or die "the connections of a dead process stay\n";
}


# So much that no worker process could have kept it to itself.

sub arrived {
    my ($self, $up) = @_;

    Exam::wait_for {
        grep { ($_ // 0) >= $Least } map { -s } $self->parts;
    } 20 or die "nothing arrives\n";
}


sub parts { return glob Exam::spool() . '/part/*/*.part' }


# The worker process that has not got it.

sub other {
    my ($self, $up) = @_;

    my ($other) = grep { $_ != $up->{holder} } $self->{nginx}->workers;
    return $other;
}


sub tell {
    my ($self, $up, $do) = @_;

    $up->{client}->tell(do => $do, id => $up->{id});
}


sub pause {
    my ($self, $up) = @_;

    $self->tell($up, 'pause');
    $up->{client}->happened($up->{id}, 'paused');
}


# The client, cut off, has asked where to go on, or tried to.

sub asked {
    my ($self, $up) = @_;

    $up->{asked} //= $up->{client}->happened($up->{id}, sub {
        $_[0]{event} eq 'request' && $_[0]{method} eq 'HEAD';
    });
}


# Where it went on: the request behind that.

sub went_on {
    my ($self, $up, $name) = @_;

    my $client = $up->{client};

    $self->asked($up);

    my $next = $client->happened($up->{id}, sub {
        $_[0]{event} eq 'request' && $_[0]{method} ne 'HEAD'
    });

    delete $up->{asked};

    is($next->{method}, 'PATCH', "$name: the client goes on");
    cmp_ok($next->{offset} // 0, '>=', $Least, "$name: where it was");

    return $next->{offset};
}


# One upload that everything happens to: paused, resumed, left without a
# network, resumed at another worker process.

sub all_of_it {
    my ($self, $client, $name, %opt) = @_;

    my $net = $self->{net};
    my $up = $self->begin_and_stop($client, %opt, name => $name);

    $self->pause($up);
    $net->cut;
    $net->hold($Middle);
    $self->tell($up, 'resume');

    my $first = $self->went_on($up, "$name, paused");

    ok($net->held, "$name: it is resumed");
    ($up->{holder}) = $net->holders;

    my $other = $self->other($up);

    $net->down;
    $self->asked($up);
    $net->to($other);
    $net->hold($Middle);
    $net->up;

    cmp_ok($self->went_on($up, "$name, no network"), '>', $first,
           "$name: further on");
    ok($net->held, "$name: it is resumed again");
    is_deeply([$net->holders], [$other], "$name: by another process");

    $net->to;
    $net->free;
    $self->finished($up, $name);
}


sub requests {
    my ($self, $up) = @_;

    return join ' ', map { $_->{method} }
        $up->{client}->history($up->{id}, 'request');
}


# The client says so, and what nginx has, or exam-worker has stored, has the
# hash of what was sent, once.

sub finished {
    my ($self, $up, $name) = @_;

    my $done = $up->{client}->happened($up->{id}, sub {
        $_[0]{event} =~ /^(?:success|error)$/;
    });

    is($done->{message} // $done->{event}, 'success',
       "$name: the client is done");

    my $want = $self->{mysql} ? 'stored' : 'received';
    my $sid = claims_of($self->{token})->{sid};
    my $res;

    Exam::wait_for {
        (Exam::redis_cmd('HGET', 'exam:{30}:seg:S001',
                         "$sid:$up->{kind}:$up->{n}") // '') =~ /^$want /;
    } 30;

    $res = $self->{api}->get("/api/v1/recordings/$up->{kind}/$up->{n}",
                             $self->{token});

    is($res->{json}{state} // $res->{content}, $want, "$name: $want");
    is($res->{json}{sha256}, $up->{sha256}, "$name: with its hash");

    my @files = $self->{mysql}
        ? grep { !/\.json$/ } glob Exam::recordings()
              . "/30/S001/$sid-$up->{kind}-$up->{n}-*"
        : glob Exam::spool() . "/ready/$res->{json}{id}.rec";

    is_deeply([map { hash_of($_) } @files], [$up->{sha256}],
              "$name: one file, and that has it");
}


# Nothing is left behind.

sub no_parts {
    my ($self, $name) = @_;

    ok((Exam::wait_for { !$self->parts }), $name)
        or diag(join "\n", $self->parts);
}


1;
