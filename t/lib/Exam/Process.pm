package Exam::Process;

# The private servers of one test: Redis, MariaDB, nginx, exam-worker.  Each
# runs in the test's own temporary folder on a unix socket or a free port, is
# a child of the test, is stopped by its pid when the test ends, and is told
# by the kernel to leave (setpriv --pdeathsig) should the test be killed.

use strict;
use warnings;

use Cwd ();
use Errno qw(EADDRINUSE);
use File::Path qw(make_path);
use File::Temp ();
use IO::Socket::INET;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

our $Root = $ENV{EXAM_ROOT} // Cwd::abs_path(__FILE__) =~ s{/t/lib/.*}{}r;
our $Bin = $ENV{EXAM_BIN} // "$Root/var/bin";

my $main_pid = $$;
my $dir;
my @started;                    # newest first: stopped in this order

$ENV{LSAN_OPTIONS} //= "suppressions=$Root/t/lib/lsan.supp"
                       . ":print_suppressions=0";
$ENV{UBSAN_OPTIONS} //= 'print_stacktrace=1';

# a test that is told to stop runs its END blocks
$SIG{$_} //= sub { exit 1 } for qw(TERM INT HUP);


# The temporary folder of this test.  Short: a socket's path has 107 bytes.

sub dir {
    $dir //= File::Temp->newdir('exam-XXXXXXXX', DIR => '/tmp');
    return "$dir";
}


sub bin { return "$Bin/$_[0]" }


# Calls the function until it returns true; at most $seconds.  Returns the
# value, or nothing when the time is over.

sub wait_for(&;$) {
    my ($code, $seconds) = @_;

    my $end = time + ($seconds // 10);

    while (1) {
        my $value = $code->();
        return $value if $value;
        return if time > $end;
        sleep 0.02;
    }
}


sub spew {
    my ($file, $text) = @_;

    open my $fh, '>', $file or die "cannot write $file: $!\n";
    print $fh $text;
    close $fh or die "cannot write $file: $!\n";
    return $file;
}


sub slurp {
    my ($file) = @_;

    open my $fh, '<', $file or return '';
    local $/;
    return <$fh> // '';
}


# Starts a command with its output in $log; returns an object with pid.

sub start {
    my ($class, $name, $log, @cmd) = @_;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', $log;
        open STDERR, '>>', $log;
        exec 'setpriv', '--pdeathsig', 'TERM', @cmd or POSIX::_exit(127);
    }

    my $self = bless { name => $name, pid => $pid, log => $log }, $class;
    unshift @started, $self;
    return $self;
}


sub all { return @started }


sub pid { return $_[0]{pid} }


sub running {
    my ($self) = @_;

    return 0 unless $self->{pid};

    if (waitpid($self->{pid}, WNOHANG) == $self->{pid}) {
        $self->{status} = $?;
        delete $self->{pid};
        return 0;
    }

    return 1;
}


# Sends the signal (TERM) and waits for the end; KILL after $seconds.  Returns
# the wait status, undef when it had to be killed.

sub stop {
    my ($self, $signal, $seconds) = @_;

    return $self->{status} unless $self->running;

    kill $signal // 'TERM', $self->{pid};

    unless (wait_for { !$self->running } $seconds // 15) {
        kill 'KILL', $self->{pid};
        wait_for { !$self->running } 5;
        return;
    }

    return $self->{status};
}


sub _started {
    my ($self, $seconds, $ready) = @_;

    my $end = time + $seconds;

    until ($ready->()) {
        die "$self->{name} ended: " . slurp($self->{log}) . "\n"
            unless $self->running;
        die "$self->{name} is not ready after $seconds s: "
            . slurp($self->{log}) . "\n" if time > $end;
        sleep 0.02;
    }

    return $self;
}


# ---- Redis

sub redis {
    my ($class, %opt) = @_;

    my $at = $opt{dir} // dir() . '/redis';
    make_path($at);
    chmod 0700, $at;

    my $self = $class->start('redis', "$at/redis.log", 'redis-server',
        '--port', 0, '--unixsocket', "$at/s", '--dir', $at, '--save', '',
        '--appendonly', $opt{aof} ? 'yes' : 'no', @{ $opt{args} // [] });

    $self->{socket} = "$at/s";

    return $self->_started(20, sub {
        return eval { Exam::Redis->new("$at/s")->cmd('PING') eq 'PONG' };
    });
}


# ---- MariaDB

sub mysql {
    my ($class, %opt) = @_;

    my $at = $opt{dir} // dir() . '/mysql';
    my @user = $> == 0 ? ('--user=root') : ();

    unless (-d "$at/data") {
        # its own: a MariaDB that starts removes temporary tables of others
        make_path($at, "$at/tmp");
        chmod 0700, $at;

        my $out = qx(mariadb-install-db --no-defaults --force @user \\
            --tmpdir=$at/tmp --datadir=$at/data \\
            --auth-root-authentication-method=normal \\
            --skip-test-db --innodb-log-file-size=4M \\
            --innodb-buffer-pool-size=8M </dev/null 2>&1);
        die "mariadb-install-db: $out\n" if $?;
    }

    my $mariadbd = -x '/usr/sbin/mariadbd' ? '/usr/sbin/mariadbd' : 'mariadbd';

    my $self = $class->start('mariadb', "$at/log", $mariadbd,
        '--no-defaults', @user, "--datadir=$at/data", "--socket=$at/s",
        "--tmpdir=$at/tmp", "--pid-file=$at/pid", '--skip-networking',
        '--skip-log-bin',
        '--innodb-buffer-pool-size=8M', '--innodb-log-file-size=4M',
        '--innodb-log-buffer-size=1M', '--innodb-flush-log-at-trx-commit=1',
        '--innodb-flush-method=nosync', '--innodb-doublewrite=0',
        '--key-buffer-size=64K', '--aria-pagecache-buffer-size=1M',
        '--performance-schema=OFF', '--max-connections=50',
        '--table-open-cache=64', '--character-set-server=utf8mb4',
        @{ $opt{args} // [] });

    $self->{socket} = "$at/s";

    $self->_started(60, sub {
        return system("mariadb-admin --no-defaults -uroot -S $at/s ping"
                      . ' >/dev/null 2>&1') == 0;
    });

    $self->sql('CREATE DATABASE IF NOT EXISTS exam CHARACTER SET utf8mb4', '');

    return $self;
}


sub socket { return $_[0]{socket} }


# Rows as a list of array references; NULL is undef.

sub sql {
    my ($self, $sql, $database) = @_;

    $database //= 'exam';

    open my $in, '-|', 'mariadb', '--no-defaults', '-uroot', '-S',
        $self->{socket}, '--batch', '-N', '-e', $sql,
        length $database ? ($database) : ()
        or die "mariadb: $!\n";

    my @rows;

    while (my $line = <$in>) {
        chomp $line;
        push @rows, [map { $_ eq 'NULL' ? undef : $_ } split /\t/, $line, -1];
    }

    close $in or die "query failed: $sql\n";

    return @rows;
}


# ---- nginx

sub free_port {
    my $sock = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "no free port: $!\n";
    return $sock->sockport;
}


# A master process with $opt{workers} (1) workers of $opt{threads} (4) upload
# threads on a free port of 127.0.0.1.  http, server, main: lines for these
# levels.  %%DIR%% in them is the server's folder, %%PORT%% a second free port.

sub nginx {
    my ($class, %opt) = @_;

    my $at = $opt{dir} // dir() . '/nginx' . scalar @started;
    make_path("$at/logs");

    my $module = $ENV{TEST_NGINX_LOAD_MODULES} // '';

    for (1 .. 5) {
        my $port = $opt{port} // free_port();
        my $conf = <<"END";
@{[ $> == 0 ? 'user root;' : '' ]}
@{[ map { "load_module $_;" } split ' ', $module ]}
daemon off;
worker_processes @{[ $opt{workers} // 1 ]};
pid $at/nginx.pid;
error_log $at/logs/error.log @{[ $opt{log_level} // 'info' ]};
thread_pool exam_upload threads=@{[ $opt{threads} // 4 ]} max_queue=1024;
@{[ $opt{main} // '' ]}
events {
    worker_connections @{[ $opt{connections} // 512 ]};
}
http {
    default_type text/plain;
    access_log off;
@{[ map { "    ${_}_temp_path $at/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi) ]}
@{[ $opt{http} // '' ]}
    server {
        listen 127.0.0.1:$port@{[ $opt{listen} // '' ]};
@{[ $opt{server} // '' ]}
    }
}
END
        my $second = $conf =~ /%%PORT%%/ ? free_port() : undef;

        $conf =~ s/%%DIR%%/$at/g;
        $conf =~ s/%%PORT%%/$second/g if $second;
        spew("$at/nginx.conf", $conf);

        my $self = $class->start('nginx', "$at/stderr", $opt{binary}
            // $ENV{TEST_NGINX_BINARY} // bin('nginx'),
            '-p', "$at/", '-c', "$at/nginx.conf", '-e', "$at/logs/error.log");

        @$self{qw(port second url dir error_log)} = ($port, $second,
            "http://127.0.0.1:$port", $at, "$at/logs/error.log");

        my $up = wait_for {
            return IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
                   || ($self->running ? 0 : -1);
        } 30;

        return $self if $self->running && ref $up;

        my $why = slurp("$at/stderr") . slurp($self->{error_log});
        $self->stop('KILL');

        # another test took the port in between
        die "nginx does not start: $why\n"
            if $opt{port} || $why !~ /Address already in use/;
    }

    die "no free port\n";
}


sub url { return $_[0]{url} }


# The pids of the worker processes that are not on their way out.

sub workers {
    my ($self) = @_;

    my $pid = $self->{pid};
    my @pids = split ' ', slurp("/proc/$pid/task/$pid/children");

    return grep {
        slurp("/proc/$_/cmdline") =~ /^nginx: worker process(?! is sh)/
    } @pids;
}


# Reads the configuration anew; returns when only new worker processes serve.

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->workers;

    kill 'HUP', $self->{pid};

    wait_for {
        my @now = $self->workers;
        return @now && !grep { $old{$_} } @now;
    } 15 or die "nginx did not reload\n";
}


# ---- exam-worker

sub worker {
    my ($class, $ini, %opt) = @_;

    my $at = dir();
    my $log = $opt{log} // "$at/exam-worker.stderr";

    return $class->start('exam-worker', $log, bin('exam-worker'),
                         '--config', $ini, @{ $opt{args} // [] });
}


END {
    if ($$ == $main_pid) {
        local $?;

        for my $p (@started) {
            $p->stop($p->{name} eq 'nginx' ? 'QUIT' : 'TERM', 10);
        }
    }
}


# ---- a Redis client: one connection, replies as Perl values

package Exam::Redis;

use IO::Socket::UNIX;


sub new {
    my ($class, $path) = @_;

    my $sock = IO::Socket::UNIX->new(Peer => $path)
        or die "cannot connect to redis: $!\n";
    return bless { sock => $sock }, $class;
}


# Arrays come back as array references; an error reply dies.

sub cmd {
    my ($self, @args) = @_;

    my $out = '*' . scalar(@args) . "\r\n";

    for my $arg (@args) {
        utf8::encode($arg) if utf8::is_utf8($arg);
        $out .= '$' . length($arg) . "\r\n$arg\r\n";
    }

    ($self->{sock}->syswrite($out) // -1) == length $out
        or die "redis closed the connection: $!\n";

    my $reply = $self->_reply;
    die "redis: $$reply\n" if ref $reply eq 'SCALAR';
    return $reply;
}


sub _reply {
    my ($self) = @_;

    my $sock = $self->{sock};
    my $line = <$sock> // die "redis closed the connection\n";
    $line =~ s/\r\n\z//;

    my $type = substr $line, 0, 1, '';

    return $line if $type eq '+' || $type eq ':';
    return \$line if $type eq '-';
    return undef if $line == -1;
    return [map { $self->_reply } 1 .. $line] if $type eq '*';

    my $data = '';
    my $want = $line + 2;

    while ($want > length $data) {
        $sock->read($data, $want - length $data, length $data)
            or die "redis closed the connection\n";
    }

    return substr $data, 0, $line;
}


1;
