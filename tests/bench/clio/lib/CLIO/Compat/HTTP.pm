package CLIO::Compat::HTTP;

use strict;
use warnings;
use HTTP::Tiny;

our $HAS_SSL = eval { require IO::Socket::SSL; 1 };

sub new {
    my ( $class, %given ) = @_;
    return bless { %given, http => HTTP::Tiny->new( timeout => $given{timeout} ) }, $class;
}

sub request {
    my ( $self, $request ) = @_;
    my $url = $request->uri->as_string;
    my %headers;
    $request->headers->scan( sub { $headers{ $_[0] } = $_[1] } );
    return $self->_request_via_curl( $request->method, $url, \%headers, $request->content )
        if $url =~ /\Ahttps:/ && !$HAS_SSL || $ENV{CLIO_TEST_CURL};
    return $self->{http}->request( $request->method, $url, { headers => \%headers, content => $request->content } );
}

sub _request_via_curl {
    my ( $self, $method, $url, $headers, $content ) = @_;
    my @words = ( 'curl', '-s', '-X', $method, map { ( '-H', "$_: $headers->{$_}" ) } keys %$headers );
    push @words, '--data-binary', $content if length( $content // '' );
    open my $answer, '-|', @words, $url or return { success => 0, status => 599 };
    local $/;
    return { success => 1, status => 200, content => <$answer> };
}

package HTTP::Request;

sub new {
    my ( $class, $method, $url ) = @_;
    return bless { method => $method, url => $url, headers => {} }, $class;
}
sub method  { return $_[0]{method} }
sub uri     { return $_[0] }
sub headers { return $_[0] }
sub header  { my ( $self, $name, $value ) = @_; $self->{headers}{$name} = $value; return }
sub scan    { my ( $self, $visit ) = @_; $visit->( $_, $self->{headers}{$_} ) for keys %{ $self->{headers} }; return }
sub content { my ( $self, @given ) = @_; $self->{content} = $given[0] if @given; return $self->{content} // '' }
sub as_string { return $_[0]{url} }

1;
