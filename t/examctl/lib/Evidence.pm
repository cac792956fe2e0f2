package Evidence;

# What the tests of audit, rebuild-index, backup and restore share: the spool
# and worker of t/worker, receipts as nginx writes them, and examctl.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib';

use Exporter 'import';
use JSON::PP ();
use Test::More;

use Exam;
use Exam::Journal qw(journal_file journal_line journal_write);
use Exam::Process;
use Spool;

our @EXPORT = qw(audit figures_are path receipt run_ctl sidecar table upload);

my $serial = 0;


# Runs examctl; returns { rc, out, err }.

sub run_ctl {
    my (@args) = @_;

    my ($out, $err) = map { Exam::dir() . "/ctl.$_." . ++$serial } qw(out err);
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out;
        open STDERR, '>', $err;
        exec Exam::Process::bin('examctl'), '--config',
            Exam::dir() . '/exam.ini', @args or POSIX::_exit(127);
    }

    waitpid $pid, 0;

    return {
        rc => $? & 127 ? "signal $?" : $? >> 8,
        out => Exam::Process::slurp($out),
        err => Exam::Process::slurp($err),
    };
}


# audit('30', '--hash'): its figures and rc.

sub audit {
    my (@args) = @_;

    my $got = run_ctl('audit', @args, '--json');
    my $data = eval { JSON::PP->new->utf8->decode($got->{out}) };

    return { %{ $data // {} }, rc => $got->{rc}, err => $got->{err} };
}


# Those figures, and all others 0, and the exit code that follows from them.

my @figures = qw(acknowledged stored in_spool bad unexplained doubles
    rows_without_receipt rows_without_file wrong_files files_without_row
    refused lost damaged_lines);

sub figures_are {
    my ($name, $want, @args) = @_;

    my $got = audit($want->{exam} // '30', @args);

    my %want = map { $_ => $want->{$_} // 0 } @figures;
    $want{rc} = $want{unexplained} ? 1 : 0;

    return is_deeply({ map { $_ => $got->{$_} } keys %want }, \%want, $name)
        || diag($got->{err});
}


# The receipt of an upload, as nginx writes it behind its 201.

sub receipt {
    my ($m, %more) = @_;

    return journal_write(journal_file(pid => $more{pid} // 1),
        journal_line(type => 'receipt', upload => $m->{id},
            bytes => $m->{length},
            (map { $_ => $m->{$_} } qw(exam student session kind n sha256
                node)),
            %more));
}


# A finished upload with its receipt; options as of offer().

sub upload {
    my $m = offer(@_);

    receipt($m);
    return $m;
}


sub path {
    my ($m) = @_;

    return Exam::recordings() . "/$m->{exam}/$m->{student}/$m->{session}-"
        . "$m->{kind}-$m->{n}-$m->{id}.webm";
}


sub sidecar { return path($_[0]) . '.json' }


# All of a table as text, in one order; without the columns named.

sub table {
    my ($table, @without) = @_;

    my %without = map { $_ => 1 } @without;

    my @columns = map { $_->[0] } $Spool::Mysql->sql("SELECT column_name FROM"
        . " information_schema.columns WHERE table_schema = 'exam' AND"
        . " table_name = '$table' ORDER BY ordinal_position");

    my $columns = join ', ', map { "HEX(`$_`)" }
                             grep { !$without{$_} } @columns;

    return join "\n", sort map { join ' ', map { $_ // 'NULL' } @$_ }
        $Spool::Mysql->sql("SELECT $columns FROM `$table`");
}


1;
