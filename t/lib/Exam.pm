package Exam;

# What all tests share.  Two ways to use it:
#
#   a file of Test::Nginx blocks           any other test
#       use lib 't/lib';                       use lib 't/lib';
#       use Test::Nginx::Socket;               use Test::More;
#       use Exam;                              use Exam;
#
# In a Test::Nginx file it starts a private Redis, and a block that has no
# http_config, config or main_config of its own gets
#
#   http_config   $TEST_NGINX_EXAM_HTTP      zone, redis, key file, node, spool
#   config        $TEST_NGINX_EXAM_SERVER    all locations: nginx-conf/api.inc
#   main_config   $TEST_NGINX_EXAM_MAIN      the thread pool
#
# which can be used inside its own sections too.
#
# Error logs: a line at [error] or above, and any report of a sanitizer, from
# the start of nginx to its end, makes the whole file fail (exit 1, the lines
# are printed), unless t/lib/allowed-errors or an `--- error_log` section of a
# block of the same file names it.  So blocks need no `--- no_error_log` for
# that, and the plan counts nothing for it.
#
# Exam::server() etc. start what blocks cannot express: see Exam::Process.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex hmac_sha256);
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(encode_base64url);
use Time::HiRes qw(time);

use Exam::Process;

our $KeyCandidate = '11' x 32;
our $KeyStaff = '22' x 32;

my $main_pid = $$;
my (@allowed, @logs, %singleton, $failed);
my $collected = '';

# before the functions below are compiled: wait_for has a prototype

BEGIN {
    *dir = \&Exam::Process::dir;
    *bin = \&Exam::Process::bin;
    *spew = \&Exam::Process::spew;
    *slurp = \&Exam::Process::slurp;
    *wait_for = \&Exam::Process::wait_for;
}


# ---- EXAM_FIRST: the test ends with its first failure, and its servers with it

if ($ENV{EXAM_FIRST}) {
    my $wrong = 0;

    require Test2::API;

    Test2::API::test2_stack()->top->listen(sub {
        $wrong ||= $_[1]->causes_fail;
    });
    Test2::API::test2_add_callback_context_release(sub {
        exit 1 if $wrong && $$ == $main_pid;
    });
}


# ---- private servers, one of each at first use

sub redis {
    return $singleton{redis} //= Exam::Process->redis(@_);
}


sub mysql {
    return $singleton{mysql} //= Exam::Process->mysql(@_);
}


# One Redis command; kept on one connection until that breaks.

sub redis_cmd {
    $singleton{client} //= Exam::Redis->new(redis()->socket);

    my $reply = eval { $singleton{client}->cmd(@_) };
    my $error = $@;

    if ($error =~ /closed|connect|pipe/i) {
        $singleton{client} = Exam::Redis->new(redis()->socket);
        return $singleton{client}->cmd(@_);
    }

    die $error if $error;
    return $reply;
}


# nginx with a master process; http and server default to the lines of the
# blocks.  Its error log is checked at the end; allow => [patterns].

sub server {
    my (%opt) = @_;

    $opt{http} //= http_lines();
    $opt{server} //= server_lines();

    my $nginx = Exam::Process->nginx(%opt);
    push @logs, $nginx->{error_log} unless grep $_ eq $nginx->{error_log},
                                                @logs;
    push @allowed, @{ $opt{allow} // [] };
    return $nginx;
}


# ---- configuration

sub keys_file {
    my $file = dir() . '/keys';

    unless (-e $file) {
        spew($file, "c1 candidate $KeyCandidate\ns1 staff $KeyStaff\n");
        chmod 0600, $file;
    }

    return $file;
}


sub spool {
    my $spool = dir() . '/spool';
    mkdir $spool;
    return $spool;
}


sub recordings {
    my $recordings = dir() . '/recordings';
    mkdir $recordings;
    return $recordings;
}


# The http level; name => 'value' replaces a directive's arguments, undef
# drops it, any other name is added.

sub http_lines {
    my (%change) = @_;

    my @lines = (
        [exam_zone => 'exam:8m'],
        [exam_redis => 'unix:' . redis()->socket],
        [exam_key_file => keys_file()],
        [exam_node => 't1'],
        [exam_spool => spool()],
        [exam_flush_interval => '100ms'],
        [exam_journal_reserve => '256k'],
        [exam_spool_low => '0'],
    );

    my %known = map { $_->[0] => 1 } @lines;

    push @lines, map { [$_] } grep { !$known{$_} } sort keys %change;

    return join '', map {
        my $value = exists $change{$_->[0]} ? $change{$_->[0]} : $_->[1];
        defined $value ? "    $_->[0] $value;\n" : ();
    } @lines;
}


# All locations, the same ones as in the configurations for operators.

sub server_lines {
    return "    include $Exam::Process::Root/nginx-conf/api.inc;\n";
}


# What a server block needs to speak TLS: a certificate of 127.0.0.1 that signs
# itself, made once; its file is certificate().

sub tls_lines {
    my $file = certificate();

    return "    ssl_certificate $file;\n"
           . '    ssl_certificate_key ' . dir() . "/key.pem;\n";
}


sub certificate {
    my $file = dir() . '/cert.pem';

    unless (-e $file) {
        my ($rc, undef, $err) = run('openssl', 'req', '-x509', '-newkey', 'ec',
            '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', 9,
            '-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1',
            '-keyout', dir() . '/key.pem', '-out', $file);

        die "openssl: $err\n" if $rc != 0;
    }

    return $file;
}


# The configuration of exam-worker and examctl; ini(worker => { probe =>
# 'off' }) replaces or adds values.  Returns the file's name.

sub ini {
    my (%change) = @_;

    my %ini = (
        node => { name => 't1', spool => spool(), recordings => recordings(),
                  keys => keys_file(), kinds => 'screen camera' },
        redis => { socket => redis()->socket },
        mysql => { socket => mysql()->socket, user => 'root',
                   database => 'exam' },
        worker => { probe => 'on', verify => 'sample', log => '',
                    pid => dir() . '/worker.pid' },
    );

    for my $section (keys %change) {
        $ini{$section}{$_} = $change{$section}{$_}
            for keys %{ $change{$section} };
    }

    my $text = '';

    for my $section (sort keys %ini) {
        $text .= "[$section]\n";
        $text .= "$_ = $ini{$section}{$_}\n"
            for grep { defined $ini{$section}{$_} }
                sort keys %{ $ini{$section} };
    }

    return spew(dir() . '/exam.ini', $text);
}


# Runs examctl; returns (exit code, stdout, stderr).

sub examctl {
    my (@args) = @_;

    my $ini = dir() . '/exam.ini';
    ini() unless -e $ini;

    return run(bin('examctl'), '--config', $ini, @args);
}


# Runs a command without stdin; returns (exit code, stdout, stderr).

sub run {
    my (@cmd) = @_;

    my ($out, $err) = map { dir() . "/run.$_" } qw(out err);
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>', $err;
        exec @cmd or POSIX::_exit(127);
    }

    waitpid $pid, 0;
    my $rc = $? & 127 ? 128 + ($? & 127) : $? >> 8;

    return ($rc, slurp($out), slurp($err));
}


# Starts exam-worker with ini(); options as of Exam::Process::worker.

sub worker {
    my (%opt) = @_;

    my $ini = delete $opt{ini} // ini();
    return Exam::Process->worker($ini, %opt);
}


# ---- fixtures

sub now_ms { return int(time * 1000) }


sub code_hash {
    my ($exam, $student, $code) = @_;

    $code = uc($code) =~ s/[ -]//gr;
    return sha256_hex("$exam|$student|$code");
}


# Writes an exam with its live roster straight into Redis.
#
#   load_exam('30', students => { S001 => { code => '0123-…', name => 'N',
#             seat => 'A1', flags => { suspended => JSON::PP::true } } })
#
# title, state (open), starts_at (an hour ago), ends_at (in three hours),
# pause_ms, paused_at.

sub load_exam {
    my ($exam, %opt) = @_;

    my $now = now_ms();
    my $json = JSON::PP->new->canonical->utf8;

    redis_cmd('HSET', "exam:{$exam}",
        title => $opt{title} // "Exam $exam",
        state => $opt{state} // 'open',
        starts_at => $opt{starts_at} // $now - 3_600_000,
        ends_at => $opt{ends_at} // $now + 3 * 3_600_000,
        pause_ms => $opt{pause_ms} // 0,
        paused_at => $opt{paused_at} // 0,
        version => $opt{version} // $now);

    my $students = $opt{students} // {};
    my @flags;
    my @roster = (_v => $now);

    for my $id (sort keys %$students) {
        my $s = $students->{$id};

        push @roster, $id, $json->encode({
            name => $s->{name} // "Name $id",
            seat => $s->{seat} // '',
            code => code_hash($exam, $id, $s->{code} // ''),
        });

        push @flags, $id, $json->encode({
            suspended => JSON::PP::false, locked => JSON::PP::false,
            paused => JSON::PP::false, extra_s => 0,
            finish => JSON::PP::false, %{ $s->{flags} },
        }) if $s->{flags};
    }

    redis_cmd('DEL', "exam:{$exam}:roster", "exam:{$exam}:flags");
    redis_cmd('HSET', "exam:{$exam}:roster", @roster);
    redis_cmd('HSET', "exam:{$exam}:flags", @flags) if @flags;
    redis_cmd('SADD', 'exam:active', $exam);
    redis_cmd('SET', 'exam:loaded', 1);
}


# A session id: the student's hash, then 12 bytes that `$n` chooses.

sub sid {
    my ($exam, $student, $n) = @_;

    return sprintf '%08x%024x', student_hash($exam, $student), $n // 1;
}


# exam_id_hash() of core/exam_id.c: FNV-1a of "exam|student", then mixed.

sub student_hash {
    my ($exam, $student) = @_;

    my $hash = 2166136261;

    for my $c (unpack 'C*', "$exam|$student") {
        $hash = (($hash ^ $c) * 16777619) & 0xffffffff;
    }

    $hash ^= $hash >> 16;
    $hash = ($hash * 0x85ebca6b) & 0xffffffff;
    $hash ^= $hash >> 13;
    $hash = ($hash * 0xc2b2ae35) & 0xffffffff;

    return $hash ^ $hash >> 16;
}


# A token made by hand: token(exam => '30', student => 'S001').  sid, gen,
# iat, exp, kid, key (hex), header and payload (JSON texts) can be given.

sub token {
    my (%opt) = @_;

    my $now = int time;
    my $kid = $opt{kid} // 'c1';
    my $header = $opt{header}
        // sprintf '{"alg":"HS256","typ":"JWT","kid":"%s"}', $kid;
    my $payload = $opt{payload} // sprintf
        '{"sid":"%s","gen":%s,"iat":%s,"exp":%s,"exam":"%s","sub":"%s"}',
        $opt{sid} // sid($opt{exam}, $opt{student}), $opt{gen} // now_ms(),
        $opt{iat} // $now, $opt{exp} // $now + 2 * 86400,
        $opt{exam}, $opt{student};
    my $body = encode_base64url($header) . '.' . encode_base64url($payload);
    my $mac = hmac_sha256($body, pack 'H*', $opt{key} // $KeyCandidate);

    return $body . '.' . encode_base64url($mac);
}


# The same as a header line, for more_headers.

sub bearer { return 'Authorization: Bearer ' . token(@_) }


# One HTTP request.  A reference as the body is sent as JSON.  Returns
# HTTP::Tiny's answer with `json`, the decoded body of a JSON answer.

sub request {
    my ($method, $url, $headers, $body, %opt) = @_;

    my %headers = %{ $headers // {} };

    if (ref $body) {
        $headers{'Content-Type'} //= 'application/json';
        $body = JSON::PP->new->canonical->utf8->encode($body);
    }

    $singleton{http} //= HTTP::Tiny->new(timeout => 30, max_redirect => 0,
                                         agent => 'test');

    my $http = $opt{fresh}
        ? HTTP::Tiny->new(timeout => 30, max_redirect => 0, keep_alive => 0)
        : $singleton{http};
    my $res = $http->request($method, $url, {
        headers => \%headers, defined $body ? (content => $body) : (),
    });

    $res->{json} = eval { JSON::PP->new->utf8->decode($res->{content}) }
        if ($res->{headers}{'content-type'} // '') =~ m{[/+]json\b};

    return $res;
}


# ---- error logs

# Lines that may stand in an error log: patterns, or texts.

sub allow_errors { push @allowed, @_ }


# Lines of a log's text that nothing allows.

sub bad_lines {
    my ($text) = @_;

    my @patterns = map { ref $_ ? $_ : qr/\Q$_\E/ } @allowed;

    # a process that is killed may have had the mutex: the master frees it
    push @patterns, qr/shared memory zone "[^"]*" was locked by \d+/
        if grep { 'worker process 1 exited on signal 9' =~ $_ } @patterns;

    for my $line (split /\n/, slurp("$Exam::Process::Root/t/lib/"
                                    . 'allowed-errors'))
    {
        push @patterns, qr/$line/ if $line =~ /\S/ && $line !~ /^#/;
    }

    return grep {
        my $line = $_;
        $line =~ /\[(?:error|crit|alert|emerg)\]
                  | Sanitizer | runtime\ error:/x
            && !grep { $line =~ $_ } @patterns;
    } split /\n/, $text;
}


# ---- Test::Nginx

# Its folder moves from t/ to the temporary folder, whatever the port.

sub _move_servroot {
    no warnings 'once';

    my $root = $Test::Nginx::Util::ServRoot = dir() . '/servroot';
    $ENV{TEST_NGINX_SERVER_ROOT} = $root;

    $Test::Nginx::Util::LogDir = "$root/logs";
    $Test::Nginx::Util::ErrLogFile = "$root/logs/error.log";
    $Test::Nginx::Util::AccLogFile = "$root/logs/access.log";
    $Test::Nginx::Util::HtmlDir = "$root/html";
    $Test::Nginx::Util::ConfDir = "$root/conf";
    $Test::Nginx::Util::ConfFile = "$root/conf/nginx.conf";
    $Test::Nginx::Util::PidFile = "$root/logs/nginx.pid";
    $Test::Nginx::Util::CacheDir = "$root/cache";

    $Test::Nginx::Util::NginxBinary = bin('nginx')
        unless $ENV{TEST_NGINX_BINARY};
}


# nginx of the last block has ended: its whole error log is kept.

sub _collect_log {
    no warnings 'once';

    $collected .= slurp($Test::Nginx::Util::ErrLogFile);
}


sub _prepare_block {
    my ($block) = @_;

    for ([main_config => '$TEST_NGINX_EXAM_MAIN'],
         [http_config => '$TEST_NGINX_EXAM_HTTP'],
         [config => '$TEST_NGINX_EXAM_SERVER'])
    {
        my ($name, $value) = @$_;
        $block->set_value($name, $value) unless defined $block->$name;
    }

    for my $pattern (map { ref $_ eq 'ARRAY' ? @$_ : $_ }
                     grep { defined } $block->error_log)
    {
        push @allowed, ref $pattern ? $pattern
                                    : grep { /\S/ } split /\n/, $pattern;
    }
}


sub import {
    return if !$INC{'Test/Nginx/Util.pm'} || $singleton{imported}++;

    _move_servroot();

    $ENV{TEST_NGINX_EXAM_MAIN} = 'thread_pool exam_upload threads=4;';
    $ENV{TEST_NGINX_EXAM_HTTP} = http_lines();
    $ENV{TEST_NGINX_EXAM_SERVER} = server_lines();
    $ENV{TEST_NGINX_EXAM_REDIS} = redis()->socket;
    $ENV{TEST_NGINX_EXAM_KEYS} = keys_file();
    $ENV{TEST_NGINX_EXAM_SPOOL} = spool();

    Test::Nginx::Util::add_block_preprocessor(\&_prepare_block);

    no warnings qw(redefine prototype);

    my $setup = \&Test::Nginx::Util::setup_server_root;

    *Test::Nginx::Util::setup_server_root = sub ($) {
        _collect_log();
        $setup->(@_);
    };
}


# Runs before the END blocks of Test::Nginx and of Exam::Process.

END {
    if ($$ == $main_pid) {
        my $status = $?;

        if ($singleton{imported}) {
            my ($pid) = slurp($Test::Nginx::Util::PidFile) =~ /^(\d+)/;

            if ($pid) {
                kill 'QUIT', $pid;
                wait_for { !readlink "/proc/$pid/exe" } 10;
            }

            _collect_log();
        }

        $_->{name} eq 'nginx' && $_->stop('QUIT', 10)
            for Exam::Process::all();

        my @bad = bad_lines(join '', $collected, map { slurp($_) } @logs);

        if (@bad) {
            splice @bad, 20 if @bad > 20;
            print STDERR "# lines in the error log:\n", map { "#   $_\n" } @bad;
            $status ||= 1;
        }

        $? = $status;
    }
}


1;
