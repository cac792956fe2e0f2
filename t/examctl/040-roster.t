# Rosters: CSV as spreadsheets write it, every error with its line, all or
# nothing, codes that are shown once, and ten thousand students in seconds.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

stack();

my $dir = dir();
my $n = 0;

ok_ctl('exam', 'create', 30, '--title', 'x');

sub csv { return spew("$dir/in.csv", join '', @_) }

sub codes {
    my ($file) = @_;

    my ($head, @lines) = split /\n/, slurp($file);

    is($head, 'student,name,code', 'the heading of the codes');

    return map { /\A([^,]+),(.*),([0-9A-Z-]+)\z/ ? ($1 => $3) : () } @lines;
}

sub roster {
    my ($exam) = @_;

    my $hash = member($exam, 'roster');
    my $v = delete $hash->{_v};

    is($v, member($exam)->{version}, '  the roster has the exam\'s version');

    return { map { $_ => JSON::PP->new->utf8->decode($hash->{$_}) }
                 keys %$hash };
}

sub hash_of {
    my ($exam, $student, $code) = @_;

    return sha256_hex("$exam|$student|" . ($code =~ s/-//gr));
}

my $good = qr/\A[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){3}\z/;


# ---- a file with everything that is allowed

{
    csv("\xef\xbb\xbfstudent,name,code,seat,group\r\n",
        "s001,Anna,,A1, a\r\n",
        "S.2\@x-y_z,\"M\xc3\xbcller, \"\"Kurt\"\"\",abcd-efgh jkmn0123,,\r\n",
        "\r\n",
        "\"s003\", \xe5\xbc\xa0\xe4\xbc\x9f ,\"\",\" B 2 \"," . 'g' x 64);

    my $out = "$dir/codes1.csv";
    like(ok_ctl('roster', 'import', 30, "$dir/in.csv", '--codes', $out),
         qr/\A3 added, 0 updated/, 'three are added');

    my %codes = codes($out);

    is((stat $out)[2] & 07777, 0600, 'only the owner reads codes');
    is($codes{'S.2@x-y_z'}, 'ABCD-EFGH-JKMN-0123', 'a given code');
    like($codes{$_}, $good, "a made code of $_") for qw(s001 s003);
    isnt($codes{s001}, $codes{s003}, 'they differ');
    like(slurp($out), qr/^S\.2\@x-y_z,"M\xc3\xbcller, ""Kurt""",/m,
         'names are quoted');

    my $roster = roster(30);

    is_deeply($roster, {
        's001' => { name => 'Anna', seat => 'A1', group => 'a',
                    code => hash_of(30, 's001', $codes{s001}) },
        'S.2@x-y_z' => { name => "M\xfcller, \"Kurt\"", seat => '',
                         group => '',
                         code => hash_of(30, 'S.2@x-y_z', 'ABCDEFGHJKMN0123') },
        's003' => { name => "\x{5f20}\x{4f1f}", seat => 'B 2',
                    group => 'g' x 64,
                    code => hash_of(30, 's003', $codes{s003}) },
    }, 'what Redis has');

    is_deeply([sql("SELECT student, LOWER(HEX(code_sha256)) FROM students "
                   . "ORDER BY student")],
              [map { [$_, $roster->{$_}{code}] } sort keys %$roster],
              'what MySQL has');

    for my $table (qw(students exams audit_log)) {
        my $dump = join '|', map { map { $_ // '' } @$_ }
                                 sql("SELECT * FROM $table");
        unlike($dump, qr/\Q$codes{s001}\E|ABCD-?EFGH/, "no code in $table");
    }
}


# ---- again: codes are kept, names and seats change, others stay

{
    my $before = roster(30);

    csv("code,name,student\n", ",Anna B,s001\n", "0000-1111-2222-3333,C,s003\n",
        ",Dora,s004\n");

    my $out = "$dir/codes2.csv";
    is_deeply(json_ctl('roster', 'import', 30, "$dir/in.csv", '--codes', $out),
              { added => 1, updated => 2, errors => [] }, 'counts');

    my %codes = codes($out);
    is_deeply([sort keys %codes], ['s003', 's004'],
              'a kept code is not shown');

    my $after = roster(30);

    is($after->{s001}{code}, $before->{s001}{code}, 'the code is kept');
    is($after->{s001}{name}, 'Anna B', 'the name is new');
    is($after->{s001}{seat}, 'A1', 'no column of seats: the seat stays');
    is($after->{s001}{group}, 'a', 'and the group');
    is($after->{s003}{code}, hash_of(30, 's003', '0000111122223333'),
       'a new code');
    is_deeply($after->{'S.2@x-y_z'}, $before->{'S.2@x-y_z'}, 'others stay');
    is(scalar keys %$after, 4, 'four now');
}


# ---- groups

{
    my $out = "$dir/codes2b.csv";

    csv("group,student,name,code\n", "b,s003,C,\n", ",s004,Dora,\n");
    ok_ctl('roster', 'import', 30, "$dir/in.csv", '--codes', $out);

    is_deeply([map { [$_->{id}, $_->{group}] }
                   @{ json_ctl('students', 30)->{students} }],
              [['S.2@x-y_z', ''], ['s001', 'a'], ['s003', 'b'], ['s004', '']],
              'students are moved to another group and out of theirs');
    is(roster(30)->{s003}{group}, 'b', 'Redis has it');
}


# ---- the file of codes

{
    my $out = "$dir/codes3.csv";

    spew($out, 'mine');
    csv("student,name,code\n", "s900,X,\n");

    fails(4, qr/exists: codes are shown only once/, 'roster', 'import', 30,
          "$dir/in.csv", '--codes', $out);
    is(slurp($out), 'mine', 'it is not touched');
    is(value("SELECT COUNT(*) FROM students WHERE student = 's900'"), 0,
       'nothing was changed');

    ok_ctl('roster', 'import', 30, "$dir/in.csv", '--codes', $out, '--force');
    is((stat $out)[2] & 07777, 0600, 'replaced with --force');
    my %codes = codes($out);
    like($codes{s900}, $good, 'by the new codes');

    csv("student,name,code\n", "s901,X,\n");
    fails(1, qr/cannot write/, 'roster', 'import', 30, "$dir/in.csv",
          '--codes', '/nonexistent/codes.csv');
    is(value("SELECT COUNT(*) FROM students WHERE student = 's901'"), 0,
       'no file, no change');
    fails(2, qr/bad file name/, 'roster', 'import', 30, "$dir/in.csv",
          '--codes', '');

    sql("CREATE TRIGGER refuse BEFORE INSERT ON students FOR EACH ROW "
        . "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'");
    fails(1, qr/MySQL: refused/, 'roster', 'import', 30, "$dir/in.csv",
          '--codes', "$dir/none.csv");
    sql('DROP TRIGGER refuse');

    ok(!-e "$dir/none.csv", 'no codes of a change that MySQL refused');
    is_deeply([glob "$dir/*.new"], [], 'no temporary file is left');
}


# ---- errors, each with line and code, and nothing is changed

sub refused {
    my ($name, $want, @text) = @_;

    my $before = redis('HGET', key(30), 'version');
    my $out = "$dir/none.csv";

    csv(@text);

    my $got = ctl('roster', 'import', 30, "$dir/in.csv", '--codes', $out,
                  '--json');

    is($got->{rc}, 1, "$name: exit code 1") or diag($got->{err});
    is_deeply(JSON::PP->new->decode($got->{out}),
              { added => 0, updated => 0,
                errors => [map { { line => $_->[0], code => $_->[1] } }
                               @$want] }, "$name: its line and code")
        or diag($got->{out});

    for my $error (@$want) {
        like($got->{err}, qr/in\.csv:$error->[0]: $error->[1]: /,
             "$name: as text");
    }

    ok(!-e $out, "$name: no codes");
    is(redis('HGET', key(30), 'version'), $before, "$name: nothing changed");
}

my $head = "student,name,code\n";

refused('empty file', [[1, 'bad_header']], '');
refused('no header', [[1, 'bad_header']], "s1,Anna,\n");
refused('unknown column', [[1, 'bad_header']], "student,name,code,mail\n");
refused('column twice', [[1, 'bad_header']], "student,name,code,name\n");
refused('column missing', [[1, 'bad_header']], "student,name,seat\n");
refused('too few', [[3, 'bad_columns']], $head, "\n", "s1,Anna\n");
refused('too many', [[2, 'bad_columns']], $head, "s1,Anna,,\n");
refused('id', [map { [$_, 'bad_student'] } 2 .. 8], $head, ",Anna,\n",
        "a b,Anna,\n", "../x,Anna,\n", "a..b,Anna,\n", "-a,Anna,\n",
        "a\0b,Anna,\n", 'x' x 65 . ",Anna,\n");
refused('name', [map { [$_, 'bad_name'] } 2, 3, 4], $head, "s1,,\n",
        's1,' . 'x' x 256 . ",\n", "s1,a\tb,\n");
refused('name on two lines', [[2, 'bad_name'], [4, 'bad_student']], $head,
        "s1,\"a\nb\",\n", ",x,\n");
refused('seat', [[2, 'bad_seat']], "student,name,code,seat\n",
        's1,Anna,,' . 'x' x 65 . "\n");
refused('group', [map { [$_, 'bad_group'] } 2 .. 6],
        "student,group,name,code\n", "s1,a b,x,\n", "s2,a:b,x,\n",
        "s3,-a,x,\n", "s4,a..b,x,\n", 's5,' . 'g' x 65 . ",x,\n");
refused('code', [map { [$_, 'bad_code'] } 2 .. 5], $head, "s1,Anna,ABCD\n",
        "s2,Anna,ABCD-EFGH-JKMN-012U\n", "s3,Anna,ABCDEFGHJKMN01234\n",
        "s4,Anna,----\n");
refused('not UTF-8', [[2, 'bad_utf8'], [4, 'bad_utf8']], $head,
        "s1,M\xfcller,\n", "s2,Anna,\n", "s3,\xc0\xafx,\n");
refused('quote not closed', [[3, 'bad_csv']], $head, "s1,Anna,\n",
        "s2,\"Anna,\n", "s3,Bea,\n");
refused('text behind a quote', [[2, 'bad_csv'], [3, 'bad_student']], $head,
        "s1,\"Anna\" B,\n", ",x,\n");
refused('twice', [[4, 'duplicate_student']], $head, "s1,Anna,\n", "s2,Bea,\n",
        "s1,Anna,\n");
refused('case in the file', [[3, 'case_duplicate']], $head, "s1,Anna,\n",
        "S1,Anna,\n");
refused('case against MySQL', [[2, 'case_duplicate']], $head, "S001,Anna,\n");
refused('all at once', [[2, 'bad_student'], [3, 'case_duplicate'],
                        [5, 'duplicate_student'], [6, 'bad_code']], $head,
        ",x,\n", "S003,x,\n", "s5,x,\n", "s5,x,\n", "s6,x,U\n");

{
    csv($head, map { "s $_,x,\n" } 1 .. 150);

    my $got = fails(1, qr/in\.csv: 50 more errors/, 'roster', 'import', 30,
                    "$dir/in.csv", '--codes', "$dir/none.csv");
    my $lines = () = $got->{err} =~ /bad_student/g;
    is($lines, 100, 'a hundred of them are printed');
}

fails(1, qr/cannot read/, 'roster', 'import', 30, '/nonexistent', '--codes',
      "$dir/none.csv");
fails(3, qr/no exam "99"/, 'roster', 'import', 99, csv($head), '--codes',
      "$dir/none.csv");


# ---- generate

{
    ok_ctl('exam', 'create', 31, '--title', 'x');

    my $out = "$dir/gen.csv";
    is_deeply(json_ctl('roster', 'generate', 31, '--count', 12, '--codes',
                       $out), { added => 12, updated => 0, errors => [] },
              'twelve');

    my %codes = codes($out);
    is_deeply([sort keys %codes], [map { sprintf 's%03d', $_ } 1 .. 12],
              's001 to s012');
    is(grep({ $_ =~ $good } values %codes), 12, 'codes of the right form');

    my $roster = roster(31);
    is($roster->{s012}{name}, 'Candidate 012', 'a name');
    is($roster->{s007}{code}, hash_of(31, 's007', $codes{s007}), 'and a code');

    fails(4, qr/"s001" exists already.*--force/, 'roster', 'generate', 31,
          '--count', 3, '--codes', "$dir/none.csv");
    fails(4, qr/"s001" exists already: another --prefix$/, 'roster',
          'generate', 31, '--count', 3, '--prefix', 'S', '--force', '--codes',
          "$dir/none.csv");

    ok_ctl('roster', 'generate', 31, '--count', 2, '--codes', $out, '--force');

    my %new = codes($out);
    is_deeply([sort keys %new], ['s001', 's002'], 'new codes by force');
    isnt($new{s001}, $codes{s001}, 'other ones');
    is(roster(31)->{s001}{code}, hash_of(31, 's001', $new{s001}),
       'Redis has them');
    is(roster(31)->{s003}{code}, hash_of(31, 's003', $codes{s003}),
       'the others keep theirs');

    ok_ctl('roster', 'generate', 31, '--count', 1, '--prefix', 'x' x 58,
           '--codes', "$dir/long.csv");
    fails(3, qr/no exam "99"/, 'roster', 'generate', 99, '--count', 1,
          '--codes', "$dir/none.csv");
}


# ---- an archived exam

{
    ok_ctl('exam', 'archive', 31);
    fails(4, qr/is archived/, 'roster', 'generate', 31, '--count', 1,
          '--prefix', 'z', '--codes', "$dir/none.csv");
    fails(4, qr/is archived/, 'roster', 'import', 31, csv($head), '--codes',
          "$dir/none.csv");
}


# ---- ten thousand

{
    ok_ctl('exam', 'create', 'big', '--title', 'x');

    my $out = "$dir/big.csv";
    my $start = time;

    ok_ctl('roster', 'generate', 'big', '--count', 10000, '--codes', $out);
    ok_ctl('exam', 'open', 'big');

    diag(sprintf 'generate and open, 10,000 students: %.2f s', time - $start);

    my %codes = codes($out);
    my %different = map { $_ => 1 } values %codes;

    is(scalar keys %codes, 10000, '10,000 codes');
    is(scalar keys %different, 10000, 'all different');
    is(redis('HLEN', key('big', 'roster')), 10001, 'Redis has them');
    ok(!redis('EXISTS', key('big', 'roster:new')), 'under one name only');
    is(value("SELECT COUNT(*) FROM students WHERE exam = 'big'"), 10000,
       'MySQL has them');

    my $roster = roster('big');
    is(scalar(grep { $roster->{$_}{code} ne hash_of('big', $_, $codes{$_}) }
                  keys %codes), 0, 'each with its own code');

    # and once more as an import under other ids
    spew("$dir/in.csv", slurp($out) =~ s/^s/t/gmr =~ s/\Attudent/student/r);
    $start = time;
    ok_ctl('roster', 'import', 'big', "$dir/in.csv", '--codes',
           "$dir/big2.csv");
    diag(sprintf 'import of 10,000 students: %.2f s', time - $start);
    is(redis('HLEN', key('big', 'roster')), 20001, 'twenty thousand now');
}

done_testing();
