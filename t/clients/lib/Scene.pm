package Scene;

# A whole stack with two worker processes of nginx, the network before it, and
# what is looked at in every upload: that it went on where it was broken off,
# and that what is stored has the hash of what was sent.
#
#   my $scene = Scene->new(cors => 'http://...', stored => 1);
#                   # tls => 'ssl http2' or 'quic', daemon => 1, http => {exam_
#                   # directives}, server => 'lines', net => another network
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
use Relay;

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

    my $http = Exam::http_lines(
        $opt{cors} ? (exam_cors_origin => $opt{cors}) : (),
        %{ $opt{http} // {} });

    $self->{nginx} = Exam::server(workers => 2, allow => [qr/signal 9/],
        http => $http . "log_format spoken '\$server_port \$server_protocol';\n"
                . "http2_body_preread_size 512k;\n",
        server => join '', Exam::server_lines(), $opt{server} // '',
                  $opt{tls} ? _tls_lines($opt{tls}) : ());
    $self->_daemon if $opt{daemon};
    $self->{api} = Exam::Api->new($self->{nginx});
    $self->{net} = $opt{net} ? $opt{net}
                 : ($opt{tls} // '') eq 'quic' ? Relay->new($self->{nginx})
                 : Proxy->new($self->{nginx}, tls => $opt{tls} && 'second');
    $self->{token} = $self->{api}->logged_in('30', 'S001')->{token};

    return $self;
}


# TLS at the second port: tls => 'ssl http2', or 'quic' for HTTP/3.

sub _tls_lines {
    my ($how) = @_;

    $how .= ' reuseport' if $how eq 'quic';

    return "    listen 127.0.0.1:%%PORT%% $how;\n" . Exam::tls_lines()
           . "    access_log %%DIR%%/logs/spoken spoken;\n";
}


# Only a daemon lets itself be replaced: the same as one.

my @masters;

sub _daemon {
    my ($self) = @_;

    my $nginx = $self->{nginx};
    my $conf = "$nginx->{dir}/nginx.conf";

    $nginx->stop('QUIT');
    Exam::spew($conf, Exam::slurp($conf) =~ s/daemon off;/daemon on;/r);

    my ($rc, undef, $err) = Exam::run($ENV{TEST_NGINX_BINARY}
        // Exam::bin('nginx'), '-p', "$nginx->{dir}/", '-c', $conf, '-e',
        $nginx->{error_log});

    die "nginx: $err\n" if $rc != 0;
    push @masters, $nginx->{pid} = $self->_master;
}


# The master process that the pid file names, another one than that.

sub _master {
    my ($self, $not) = @_;

    my $master = Exam::wait_for {
        my ($pid) = Exam::slurp("$self->{nginx}{dir}/nginx.pid") =~ /^(\d+)/;
        $pid && $pid != ($not // 0) && $pid;
    } 20;

    return $master // die "no master process of nginx\n";
}


# A new master process, whose worker processes are the only ones that take
# connections.

sub upgrade {
    my ($self) = @_;

    my $nginx = $self->{nginx};
    my $old = $self->{old} = $nginx->{pid};
    my @old = $nginx->workers;

    kill 'USR2', $old;
    push @masters, $nginx->{pid} = $self->_master($old);

    Exam::wait_for { $nginx->workers == 2 } 20 or die "no new processes\n";

    kill 'WINCH', $old;

    Exam::wait_for {
        !grep { Exam::slurp("/proc/$_/cmdline")
                =~ /^nginx: worker process(?! is sh)/ } @old;
    } or die "the old processes go on\n";
}


# All uploads are done: the old master process leaves when told.

sub upgraded {
    my ($self, $name) = @_;

    kill 'QUIT', $self->{old};
    ok((Exam::wait_for { !kill 0, $self->{old} } 20),
       "$name: the old one leaves");
}


END {
    local $?;

    kill 'QUIT', @masters;
    Exam::wait_for { !grep { kill 0, $_ } @masters } 10
        or kill 'KILL', @masters;
}


# The protocols that requests over TLS came by.

sub spoken {
    my ($self) = @_;

    my %spoken = map { $_ => 1 } Exam::slurp("$self->{nginx}{dir}/logs/spoken")
                     =~ /^$self->{nginx}{second} (\S+)$/mg;

    return sort keys %spoken;
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

    my $page = $opt{size} || $opt{from};

    $opt{file} //= video() unless $page;
    $up->{sha256} = hash_of($opt{file}) if $opt{file};

    $client->tell(
        do => 'start', endpoint => $self->{net}->url . '/api/v1/uploads',
        token => $self->{token}, %opt, id => $up->{id},
        metadata => { kind => $up->{kind}, n => "$up->{n}",
                      filetype => $page ? 'video/webm' : 'video/mp4' });

    $up->{sha256} = $client->happened($up->{id}, 'made')->{sha256} if $page;

    return $up;
}


# The same, stopped in the middle: the worker process that has it.

sub begin_and_stop {
    my ($self, $client, %opt) = @_;

    $self->{net}->hold($Middle);

    my $up = $self->begin($client, %opt);

    ok($self->{net}->held, "$opt{name}: it has begun")
        or diag($client->last_words($up->{id}));
    $self->arrived($up);
    ($up->{holder}) = $self->{net}->holders;
    $up->{ports} = $self->{net}->state->{ports} // [];

    return $up;
}


# The worker process that has it is killed: its connections are gone.

sub kill_holder {
    my ($self, $up) = @_;

    kill 'KILL', $up->{holder};

    Exam::wait_for {
        my %there = map { $_ => 1 } @{ $self->{net}->state->{ports} // [] };
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


# The client says so, and what nginx has, or exam-worker has stored (as stored()
# says without a client), has the hash of what was sent, once.

sub finished {
    my ($self, $up, $name) = @_;

    my $done = $up->{client}->happened($up->{id}, sub {
        $_[0]{event} =~ /^(?:success|error)$/;
    });

    is($done->{message} // $done->{event}, 'success',
       "$name: the client is done");

    $self->stored($up, $name);
}


sub stored {
    my ($self, $up, $name) = @_;

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
