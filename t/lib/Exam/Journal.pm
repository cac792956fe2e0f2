package Exam::Journal;

# Journals of a spool (core/exam_journal.h) written and read by tests.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

use Exam;
use Exam::Process;

our @EXPORT_OK = qw(crc32c journal_boot journal_file journal_line journal_parse
    journal_write);

my @table = map {
    my $c = $_;
    $c = $c & 1 ? 0x82f63b78 ^ ($c >> 1) : $c >> 1 for 1 .. 8;
    $c
} 0 .. 255;

my $json = JSON::PP->new->canonical->utf8;


# CRC-32C (RFC 3720) as 8 hex digits.

sub crc32c {
    my ($text) = @_;

    my $crc = 0xffffffff;
    $crc = $table[($crc ^ $_) & 255] ^ $crc >> 8 for unpack 'C*', $text;

    return sprintf '%08x', $crc ^ 0xffffffff;
}


# A whole line of a record: journal_line(type => 'login', ...).  node, exam,
# student, session, gen and at have values of their own unless given; one that
# is undef is left out.

sub journal_line {
    my (%r) = @_;

    my $student = $r{student} // 'S001';

    %r = (node => 't1', at => Exam::now_ms(), $r{type} eq 'outage' ? ()
          : (exam => '30', student => $student,
             session => Exam::sid($r{exam} // '30', $student), gen => 1), %r);

    delete $r{$_} for grep { !defined $r{$_} } keys %r;

    for (qw(at gen login_at from to gap_ms seq missed command client_time
            offset_ms n bytes))
    {
        $r{$_} += 0 if defined $r{$_};
    }

    # its data stands last
    my $data = delete $r{data};
    my $text = $json->encode(\%r);

    $text =~ s/\}\z/,"data":$data}/ if defined $data;

    return crc32c($text) . " $text\n";
}


sub journal_boot {
    return Exam::slurp('/proc/sys/kernel/random/boot_id') =~ s/\n//r;
}


# The path of a journal: journal_file(pid => 1, n => 2, boot => '...').

sub journal_file {
    my (%opt) = @_;

    my $folder = Exam::spool() . '/journal';
    mkdir $folder;

    return sprintf '%s/%s-%d-%d.log', $folder, $opt{boot} // journal_boot(),
        $opt{pid} // $$, $opt{n} // 1;
}


# Appends lines in one write().

sub journal_write {
    my ($file, @lines) = @_;

    my $text = join '', @lines;

    open my $fh, '>>', $file or die "cannot open $file: $!\n";
    (syswrite $fh, $text) == length $text or die "cannot write $file: $!\n";
    close $fh;

    return $file;
}


# The records of a file whose CRC is right, in order.

sub journal_parse {
    my ($file) = @_;

    return map { $json->decode($_->[1]) }
        grep { @$_ == 2 && $_->[0] eq crc32c($_->[1]) }
        map { [split / /, $_, 2] } split /\n/, Exam::slurp($file);
}


1;
