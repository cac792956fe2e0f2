package Ctl;

# What the tests of examctl share: a private MariaDB and Redis, a
# configuration that names them, and a way to run a command and look at
# everything it said.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Test::More;

use Exam::Process;

our @EXPORT = qw(stack ini ctl ok_ctl json_ctl fails sql value redis dir spew
                 slurp wait_for key member);

my ($mysql, $redis, $ini, $client);

sub dir { return Exam::Process::dir() }
sub spew { return Exam::Process::spew(@_) }
sub slurp { return Exam::Process::slurp(@_) }
sub wait_for(&;$) { return &Exam::Process::wait_for(@_) }

sub mysql { return $mysql }
sub server { return $redis }


# The configuration's text; section => { key => value }, undef drops a key.

sub ini {
    my (%change) = @_;

    my @sections = (
        [node => [name => 't1'], [spool => 'spool'],
                 [recordings => 'recordings'], [keys => 'keys'],
                 [kinds => 'screen camera'], [nginx_pid => 'nginx.pid']],
        [redis => [socket => $redis ? $redis->socket : 'redis.sock']],
        [mysql => [socket => $mysql ? $mysql->socket : 'mysql.sock'],
                  [user => 'root'], [database => 'exam']],
        [worker => [log => '']],
    );

    my $text = '';

    for my $section (@sections) {
        my ($name, @keys) = @$section;
        my %new = %{ $change{$name} // {} };

        $text .= "[$name]\n";

        for my $key (@keys) {
            my $value = exists $new{$key->[0]} ? delete $new{$key->[0]}
                                               : $key->[1];
            $text .= "$key->[0] = $value\n" if defined $value;
        }

        $text .= "$_ = $new{$_}\n" for sort keys %new;
    }

    return $text;
}


# Starts MariaDB and Redis, and unless migrate => 0 makes the tables.

sub stack {
    my (%opt) = @_;

    $mysql = Exam::Process->mysql;
    $redis = Exam::Process->redis;

    mkdir dir() . "/$_" for qw(spool recordings);

    $ini = spew(dir() . '/exam.ini', ini());

    return if defined $opt{migrate} && !$opt{migrate};

    ok_ctl('migrate');
}


# Runs examctl; returns { rc, out, err }.  Environment by env => { }, another
# configuration by config => FILE (undef: no --config).

sub ctl {
    my (@args) = @_;

    my %opt = ref $args[-1] eq 'HASH' ? %{ pop @args } : ();
    my $config = exists $opt{config} ? $opt{config} : $ini;
    my $program = $opt{program} // Exam::Process::bin('examctl');
    my ($out, $err) = map { dir() . "/ctl.$_.$$" } qw(out err);

    unshift @args, '--config', $config if defined $config;

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        %ENV = (%ENV, %{ $opt{env} // {} });
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $opt{stdout} // $out;
        open STDERR, '>', $err;
        exec { $program } $program, @args or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    return {
        rc => $? & 127 ? "signal $?" : $? >> 8,
        out => slurp($out),
        err => slurp($err),
    };
}


# A command that must succeed silently on standard error; returns its output.

sub ok_ctl {
    my (@args) = @_;

    my $got = ctl(@args);
    my $name = join ' ', grep { !ref } @args;

    is("$got->{rc} $got->{err}", '0 ', "examctl $name");

    return $got->{out};
}


# The same with --json behind it: the decoded output.

sub json_ctl {
    my (@args) = @_;

    my $out = ok_ctl(@args, '--json');
    my $data = eval { JSON::PP->new->utf8->decode($out) };

    ok($data, "  is JSON") or diag($@, $out);

    return $data;
}


# A command that must fail with this exit code and a message like this.

sub fails {
    my ($rc, $like, @args) = @_;

    my $got = ctl(@args);
    my $name = join ' ', map { length > 40 ? substr($_, 0, 40) . '...' : $_ }
                         grep { !ref } @args;

    is($got->{rc}, $rc, "examctl $name: exit code $rc") or diag($got->{err});
    like($got->{err}, $like, '  and says why');

    return $got;
}


sub sql { return $mysql->sql(@_) }

# the first column of the first row, undef without rows

sub value { return (($mysql->sql(@_))[0] // [])->[0] }


sub redis {
    $client //= Exam::Redis->new($redis->socket);

    my @reply = eval { $client->cmd(@_) };

    if ($@ =~ /closed|connect|pipe/i) {
        $client = Exam::Redis->new($redis->socket);
        @reply = $client->cmd(@_);
    } elsif ($@) {
        die $@;
    }

    return $reply[0];
}


# Redis keys of an exam, and a hash as a Perl one.

sub key { return defined $_[1] ? "exam:{$_[0]}:$_[1]" : "exam:{$_[0]}" }

sub member { return { @{ redis('HGETALL', key(@_)) } } }


1;
