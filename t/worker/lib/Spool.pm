package Spool;

# What nginx would have left in a spool: finished uploads in the form of
# core/exam_manifest.h, with or without their doorbell.  And a stack for one
# test: Redis, MariaDB with the tables, a spool, a worker.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(sha256_hex);
use Exporter 'import';
use File::Path qw(make_path);
use JSON::PP ();
use POSIX ();
use Test::More ();
use Time::HiRes qw(time);

use Exam;
use Exam::Process;

our @EXPORT = qw(
    bell boot_id child drained files figures ini_with json ledger media offer
    proc_state redis ring row rows settled sid stack start_worker stop_worker
    taken upload_id wait_for worker_log
);

our $Node = 't1';
our ($Redis, $Mysql, $Worker, $Log);

my $json = JSON::PP->new->canonical->utf8;
# a command to a server that was stopped: an error, not the end
$SIG{PIPE} = 'IGNORE';

my $serial = 0;
my $client;

BEGIN { *wait_for = \&Exam::Process::wait_for }


sub json { return $json->decode($_[0]) }


# One command, whatever connection is alive.

sub redis {
    my (@cmd) = @_;

    # a server that was stopped: the old connection is of no use
    local $SIG{__WARN__} = sub { };

    my $reply = eval { ($client //= Exam::Redis->new($Redis->socket))
                       ->cmd(@cmd) };

    if ($@ =~ /closed|connect|pipe/i) {
        $client = Exam::Redis->new($Redis->socket);
        return $client->cmd(@cmd);
    }

    die $@ if $@;
    return $reply;
}


# Redis and MariaDB with the tables and one open exam; the table of exams is
# what a refill reads, exam:loaded what it writes.  redis => {}: options of
# Exam::Process::redis.

sub stack {
    my (%opt) = @_;

    $Redis = Exam::Process->redis(%{ $opt{redis} // {} });
    $Mysql = Exam::Process->mysql;

    tables($Mysql);

    make_path(map { Exam::spool() . "/$_" } qw(ready work bad part));
    ini_with();
}


sub tables {
    my ($mysql) = @_;

    for my $file (sort glob "$Exam::Process::Root/schema/*.sql") {
        my $sql = Exam::Process::slurp($file);
        $mysql->sql($sql);
    }

    my $now = Exam::now_ms();

    $mysql->sql("INSERT IGNORE INTO exams (id, title, state, starts_at,"
        . " ends_at, pause_ms, paused_at, version, created_at) VALUES"
        . " ('30', 'T', 'open', $now - 3600000, $now + 36000000, 0, 0, $now,"
        . " $now)");
}


# The configuration, written anew: ini_with(worker => { probe => 'off' }).
# Not Exam::ini(): these tests stop and replace their servers.

sub ini_with {
    my (%change) = @_;

    $Log = Exam::dir() . '/worker.log';

    my %ini = (
        node => { name => $Node, spool => Exam::spool(),
                  recordings => Exam::recordings(),
                  keys => Exam::keys_file(), kinds => 'screen camera' },
        redis => { socket => $Redis->socket },
        mysql => { socket => $Mysql->socket, user => 'root',
                   database => 'exam' },
        worker => { probe => 'on', verify => 'sample', log => $Log,
                    pid => Exam::dir() . '/worker.pid' },
    );

    my $text = '';

    for my $section (sort keys %ini) {
        my %values = (%{ $ini{$section} }, %{ $change{$section} // {} });

        $text .= "[$section]\n";
        $text .= "$_ = $values{$_}\n" for sort keys %values;
    }

    return Exam::Process::spew(Exam::dir() . '/exam.ini', $text);
}


sub start_worker {
    my (@args) = @_;

    $Worker = Exam::Process->worker(Exam::dir() . '/exam.ini',
                                    args => [@args]);
    return $Worker;
}


sub stop_worker { return $Worker->stop(@_) }


sub worker_log { return Exam::Process::slurp($Log) }


sub boot_id {
    return Exam::Process::slurp('/proc/sys/kernel/random/boot_id') =~ s/\n//r;
}


# Ids end in 1 unless told otherwise: 0 is the sample that is hashed.

sub upload_id {
    my ($last) = @_;

    return sprintf '%s-%08x%08x%08x%07x%s', $Node, $$, time & 0xffffffff,
        rand 0xffffffff, ++$serial, $last // '1';
}


sub sid { return Exam::sid('30', $_[0] // 'S001', $_[1] // 1) }


# Puts a finished upload into the spool as the module leaves it.  Returns the
# manifest.  Options: any member of it, and
#   data      the bytes                 rec => 0     no file
#   raw       the manifest's text       info => 0    no manifest
#   ring => 0 no doorbell

sub offer {
    my (%opt) = @_;

    my $data = delete $opt{data} // "data $serial";
    my $raw = delete $opt{raw};
    my ($rec, $info, $ring) = map { delete $opt{$_} // 1 } qw(rec info ring);
    my $student = $opt{student} // 'S001';

    my %m = (
        version => 1, id => upload_id(), exam => '30', student => $student,
        session => sid($student), gen => 1, kind => 'screen', n => 0,
        length => length $data, durable_offset => length $data,
        sha256 => sha256_hex($data), content_type => 'video/webm',
        started_at => undef, duration_ms => undef, offset_ms => undef,
        received_at => Exam::now_ms(), node => $Node, boot_id => boot_id(),
        %opt,
    );

    # numbers stay numbers in the JSON
    for (qw(version gen n length durable_offset received_at)) {
        $m{$_} += 0 if defined $m{$_};
    }

    my $ready = Exam::spool() . '/ready';

    Exam::Process::spew("$ready/$m{id}.rec", $data) if $rec;

    if ($info) {
        Exam::Process::spew("$ready/$m{id}.tmp", $raw // $json->encode(\%m)
                                                         . "\n");
        rename "$ready/$m{id}.tmp", "$ready/$m{id}.info" or die $!;
    }

    ring(\%m) if $ring;

    return \%m;
}


sub ring {
    my ($m) = @_;

    my @fields = grep { defined $m->{$_} }
        qw(id exam student session kind n sha256 received_at);

    return redis('XADD', bell(), '*', map { ($_, $m->{$_}) } @fields);
}


sub bell { return "exam:recordings:$Node" }


# The row of an upload as a hash; nothing when there is none.

sub row {
    my ($m) = @_;

    my @columns = qw(id upload_id exam student session kind n variant bytes
        sha256 content_type started_at duration_ms received_at stored_at node
        store path container video_codec audio_codec width height media_ms
        playable reason);
    my $columns = join ', ', map { $_ eq 'sha256' ? 'LOWER(HEX(sha256))' : $_ }
                             @columns;

    my ($row) = $Mysql->sql("SELECT $columns FROM recordings"
                            . " WHERE upload_id = '$m->{id}'");

    return unless $row;

    my %row;
    @row{@columns} = @$row;
    return \%row;
}


sub rows {
    my ($where) = @_;

    my ($row) = $Mysql->sql('SELECT COUNT(*) FROM recordings WHERE '
                            . ($where // 'TRUE'));
    return $row->[0];
}


# The ledger's entry as a list: state node upload bytes sha256.

sub ledger {
    my ($m) = @_;

    my $value = redis('HGET', "exam:{$m->{exam}}:seg:$m->{student}",
                      "$m->{session}:$m->{kind}:$m->{n}");
    return split / /, $value // '';
}


# Waits until the upload is committed, settled and acknowledged.

sub settled {
    my ($m, $seconds) = @_;

    return wait_for {
        (ledger($m))[0] && (ledger($m))[0] eq 'stored'
            && !-e Exam::spool() . "/work/$m->{id}.info"
            && redis('XLEN', bell()) == 0
    } $seconds // 15;
}


# Names below a folder, sorted; in scalar context their number.

sub files {
    my ($folder) = @_;

    opendir my $dh, $folder or die "$folder: $!\n";
    my @names = sort grep !/^\./, readdir $dh;
    return @names;
}


sub figures {
    return { @{ redis('HGETALL', "exam:worker:$Node") // [] } };
}


# The pid of the worker's probe.

sub child {
    my ($pid) = map { split ' ', Exam::Process::slurp($_) }
        glob "/proc/$Worker->{pid}/task/*/children";
    return $pid;
}


# How far the worker has taken a journal into MySQL; all of it.

sub taken {
    my ($file) = @_;

    my ($name) = $file =~ m{([^/]+)\z};
    my ($row) = $Mysql->sql('SELECT position FROM journal_positions'
                            . " WHERE node = '$Node' AND journal = '$name'");
    return $row ? $row->[0] : 0;
}


sub drained { my ($file) = @_; return wait_for { taken($file) == -s $file } 20 }


# 'T' is stopped, '' is gone.

sub proc_state {
    my ($pid) = @_;

    return Exam::Process::slurp("/proc/$pid/stat") =~ /\) (\w)/ ? $1 : '';
}


# A test that failed shows what the worker had to say.

END {
    if (defined $Log && !Test::More->builder->is_passing) {
        Test::More::diag(worker_log());
    }
}


# A real recording: media('webm', seconds => 2, header => 0, audio => 1)

sub media {
    my ($format, %opt) = @_;

    my $file = Exam::dir() . '/media' . ++$serial . ".$format";
    my $seconds = $opt{seconds} // 2;

    my @codecs = $format eq 'mp4'
        ? (qw(-c:v mpeg4 -c:a aac))
        : (qw(-c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus));
    my @audio = $opt{audio}
        ? ('-f', 'lavfi', '-i', "sine=frequency=440:duration=$seconds") : ();

    # written to a pipe, Matroska has no duration in its header
    my $pipe = defined $opt{header} && !$opt{header};

    my @cmd = ('ffmpeg', '-nostdin', '-v', 'error', '-f', 'lavfi', '-i',
        "testsrc=size=160x120:rate=10:duration=$seconds", @audio, @codecs,
        '-threads', 1, '-f', $format, '-y', $pipe ? '-' : $file);

    if ($pipe) {
        open my $in, '-|', @cmd or die $!;
        binmode $in;
        local $/;
        my $data = <$in>;
        close $in or die "ffmpeg failed\n";
        return $data;
    }

    system(@cmd) == 0 or die "ffmpeg failed\n";
    return Exam::Process::slurp($file);
}


1;
