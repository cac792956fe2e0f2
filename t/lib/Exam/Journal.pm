package Exam::Journal;

# Journals of a spool (core/exam_journal.h) written and read by tests.
#
#   my @records = Exam::Journal::records($spool, type => 'event');
#
# A record is the decoded JSON; file and offset of its line stand in `_file`
# and `_offset`.

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


# All lines of all files: [file, offset, text, whole], whole when it ends with a
# newline.

sub lines {
    my ($spool) = @_;

    my @lines;

    for my $file (sort glob "$spool/journal/*.log") {
        my $offset = 0;
        my $text = Exam::slurp($file);

        while ($text =~ /\G([^\n]*)(\n|\z)/g) {
            last if !length $1 && !length $2;
            push @lines, [$file, $offset, $1, length $2];
            $offset += length($1) + length $2;
        }
    }

    return @lines;
}


# The decoded record of a line, undef when it is none.

sub decode {
    my ($line) = @_;

    return unless $line =~ /\A([0-9a-f]{8}) (\{.*\})\z/s;
    return unless $1 eq crc32c($2);
    return $json->decode($2);
}


# Records with a right CRC, in the order of file and line; name => value: only
# those that have it.

sub records {
    my ($spool, %want) = @_;

    my @records;

    for (lines($spool)) {
        my ($file, $offset, $text, $whole) = @$_;
        my $r = $whole ? decode($text) : undef;

        next unless $r;
        next if grep { !defined $r->{$_} || $r->{$_} ne $want{$_} } keys %want;

        @$r{qw(_file _offset)} = ($file, $offset);
        push @records, $r;
    }

    return @records;
}


# Whole lines that are no records: none may ever stand before the last line.

sub bad {
    my ($spool) = @_;

    return grep { $_->[3] && !decode($_->[2]) } lines($spool);
}


# Waits until at least $n records are there that have what is wanted.

sub wait_records {
    my ($spool, $n, %want) = @_;

    my @records;

    Exam::wait_for {
        @records = records($spool, %want);
        return @records >= $n;
    } 10;

    return @records;
}


1;
